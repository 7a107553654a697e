CREATE TABLE region (region_id smallint PRIMARY KEY, region_description varchar(60) NOT NULL);
CREATE TABLE territories (territory_id varchar(20) PRIMARY KEY, territory_description varchar(60) NOT NULL,
    region_id smallint NOT NULL REFERENCES region);
CREATE TABLE employees (employee_id smallint PRIMARY KEY, last_name varchar(20) NOT NULL, birth_date date,
    notes text, reports_to smallint REFERENCES employees, photo bytea);
CREATE TABLE employee_territories (employee_id smallint NOT NULL REFERENCES employees, territory_id varchar(20) NOT
    NULL REFERENCES territories, PRIMARY KEY (employee_id, territory_id));
CREATE TABLE customers (customer_id varchar(5) PRIMARY KEY, company_name varchar(40) NOT NULL, city varchar(15));
CREATE TABLE addresses (customer_id varchar(5) REFERENCES customers, number smallint, street text NOT NULL, town text,
    PRIMARY KEY (customer_id, number));
CREATE TABLE shippers (shipper_id smallint PRIMARY KEY, company_name varchar(40) NOT NULL);
CREATE TABLE categories (category_id smallint PRIMARY KEY, category_name varchar(15) NOT NULL, picture bytea);
CREATE TABLE products (product_id smallint PRIMARY KEY, product_name varchar(40) NOT NULL, category_id smallint
    REFERENCES categories, unit_price real, list_price money, units_in_stock smallint, discontinued int NOT NULL);
CREATE TABLE orders (order_id smallint PRIMARY KEY, customer_id varchar(5) NOT NULL REFERENCES customers,
    employee_id smallint REFERENCES employees, order_date date, shipped_date date, ship_via smallint REFERENCES
    shippers, freight real, billing smallint, shipping smallint, ship_name varchar(40),
    FOREIGN KEY (customer_id, billing) REFERENCES addresses, FOREIGN KEY (customer_id, shipping) REFERENCES
    addresses);
CREATE TABLE order_details (order_id smallint NOT NULL REFERENCES orders, product_id smallint NOT NULL REFERENCES
    products, unit_price real NOT NULL, quantity smallint NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE us_states (state_id smallint NOT NULL, state_name varchar(100), UNIQUE (state_id));
CREATE TABLE customer_log (at timestamptz, text text);
INSERT INTO region SELECT n, 'Region ' || n FROM generate_series(1, 3) AS n;
INSERT INTO territories SELECT '0' || n, 'T' || n, 1 + n % 3 FROM generate_series(1, 9) AS n;
INSERT INTO employees SELECT n, 'E' || n, '1970-01-01'::date + n, 'a, "b"', NULLIF(n / 3, 0), '' FROM
    generate_series(1, 7) AS n;
INSERT INTO employee_territories SELECT 1 + n % 7, '0' || (1 + n % 9) FROM generate_series(1, 20) AS n;
INSERT INTO customers SELECT 'C' || n, 'Company ' || n, NULLIF('City' || n % 3, 'City0') FROM generate_series(1, 8) AS n;
INSERT INTO addresses SELECT 'C' || n, m, m || ' Street', NULL FROM generate_series(1, 8) AS n, generate_series(1, 2)
    AS m;
INSERT INTO shippers SELECT n, 'Shipper ' || n FROM generate_series(1, 3) AS n;
INSERT INTO categories SELECT n, 'Category ' || n, '\x01' FROM generate_series(1, 3) AS n;
INSERT INTO products SELECT n, 'Product ' || n, NULLIF(n % 4, 0), n / 3.0, n, n * 5, 0 FROM generate_series(1, 12) AS n;
INSERT INTO orders SELECT n, 'C' || 1 + n % 8, 1 + n % 7, '2024-01-01'::date + n, CASE WHEN n % 4 > 0 THEN
    '2024-02-01'::date + n END, 1 + n % 3, n / 7.0, 1 + n % 2, NULLIF(n % 3, 0), 'x' FROM generate_series(1, 25) AS n;
INSERT INTO order_details SELECT 1 + n % 25, 1 + n % 12, n / 9.0, n FROM generate_series(1, 70) AS n;
INSERT INTO us_states SELECT n, 'S' || n FROM generate_series(1, 5) AS n;

-- day
UPDATE customers SET company_name = 'New' WHERE customer_id = 'C1'; UPDATE addresses SET street = 's', town = 't'
    WHERE number = 2; UPDATE orders SET shipping = 2, shipped_date = '2024-12-31' WHERE order_id < 6;
    DELETE FROM order_details WHERE order_id = 3; UPDATE order_details SET product_id = 12, quantity = 0 WHERE
    order_id = 4 AND product_id = 4; UPDATE region SET region_description = 'r' WHERE region_id = 2
-- day
UPDATE orders SET customer_id = 'C1' WHERE order_id = 9; INSERT INTO customers VALUES ('Zoë', 'Z', 'Z');
    INSERT INTO addresses VALUES ('Zoë', 1, '', ''); INSERT INTO orders VALUES (99, 'Zoë', NULL, NULL, NULL, NULL,
    NULL, 1, NULL, NULL); INSERT INTO order_details VALUES (99, 1, 1, 1), (99, 2, 1, 1);
    DELETE FROM employee_territories WHERE employee_id = 2; UPDATE categories SET category_name = '' WHERE
    category_id = 1; UPDATE products SET category_id = NULL WHERE product_id = 5
