-- A rental shop in the shape of the public sample database Pagila, with generated rows: composite keys, bridges, partitions,
-- an enum, a domain, arrays, a snowflake of addresses, two tables that refer to each other, columns without a key.
CREATE TYPE mpaa_rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
CREATE DOMAIN year AS integer CHECK (VALUE BETWEEN 1901 AND 2155);

CREATE TABLE actor (
    actor_id    serial PRIMARY KEY,
    first_name  text NOT NULL,
    last_name   text NOT NULL,
    last_update timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE category (category_id serial PRIMARY KEY, name text NOT NULL, last_update timestamptz NOT NULL DEFAULT now());
CREATE TABLE language (
    language_id serial PRIMARY KEY, name character(20) NOT NULL, last_update timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE country (country_id serial PRIMARY KEY, country text NOT NULL, last_update timestamptz NOT NULL DEFAULT now());
CREATE TABLE city (
    city_id     serial PRIMARY KEY,
    city        text NOT NULL,
    country_id  integer NOT NULL REFERENCES country,
    last_update timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE address (
    address_id  serial PRIMARY KEY,
    address     text NOT NULL,
    address2    text,
    district    text NOT NULL,
    city_id     integer NOT NULL REFERENCES city,
    postal_code text,
    phone       text NOT NULL,
    last_update timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE film (
    film_id              serial PRIMARY KEY,
    title                text NOT NULL,
    description          text,
    release_year         year,
    language_id          integer NOT NULL REFERENCES language,
    original_language_id integer REFERENCES language,
    rental_duration      smallint NOT NULL DEFAULT 3,
    rental_rate          numeric(4, 2) NOT NULL DEFAULT 4.99,
    length               smallint,
    replacement_cost     numeric(5, 2) NOT NULL DEFAULT 19.99,
    rating               mpaa_rating DEFAULT 'G',
    last_update          timestamptz NOT NULL DEFAULT now(),
    special_features     text[],
    fulltext             tsvector NOT NULL
);
CREATE TABLE film_actor (
    actor_id    integer NOT NULL REFERENCES actor,
    film_id     integer NOT NULL REFERENCES film,
    last_update timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (actor_id, film_id)
);
CREATE TABLE film_category (
    film_id     integer NOT NULL REFERENCES film,
    category_id integer NOT NULL REFERENCES category,
    last_update timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (film_id, category_id)
);
CREATE TABLE store (
    store_id         serial PRIMARY KEY,
    manager_staff_id integer UNIQUE NOT NULL,
    address_id       integer NOT NULL REFERENCES address,
    last_update      timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE staff (
    staff_id    serial PRIMARY KEY,
    first_name  text NOT NULL,
    last_name   text NOT NULL,
    address_id  integer NOT NULL REFERENCES address,
    email       text,
    store_id    integer NOT NULL REFERENCES store DEFERRABLE INITIALLY DEFERRED,
    active      boolean NOT NULL DEFAULT true,
    username    text NOT NULL,
    password    text,
    last_update timestamptz NOT NULL DEFAULT now(),
    picture     bytea
);
ALTER TABLE store ADD FOREIGN KEY (manager_staff_id) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE customer (
    customer_id serial PRIMARY KEY,
    store_id    integer NOT NULL REFERENCES store,
    first_name  text NOT NULL,
    last_name   text NOT NULL,
    email       text,
    address_id  integer NOT NULL REFERENCES address,
    activebool  boolean NOT NULL DEFAULT true,
    create_date date NOT NULL DEFAULT current_date,
    last_update timestamptz DEFAULT now(),
    active      integer
);
CREATE TABLE inventory (
    inventory_id serial PRIMARY KEY,
    film_id      integer NOT NULL REFERENCES film,
    store_id     integer NOT NULL REFERENCES store,
    last_update  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE rental (
    rental_id    serial PRIMARY KEY,
    rental_date  timestamptz NOT NULL,
    inventory_id integer NOT NULL REFERENCES inventory,
    customer_id  integer NOT NULL REFERENCES customer,
    return_date  timestamptz,
    staff_id     integer NOT NULL REFERENCES staff,
    last_update  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE payment (
    payment_id   serial,
    customer_id  integer NOT NULL REFERENCES customer,
    staff_id     integer NOT NULL REFERENCES staff,
    rental_id    integer NOT NULL REFERENCES rental,
    amount       numeric(5, 2) NOT NULL,
    payment_date timestamptz NOT NULL,
    PRIMARY KEY (payment_date, payment_id)
) PARTITION BY RANGE (payment_date);
CREATE TABLE payment_p2022_01 PARTITION OF payment FOR VALUES FROM ('2022-01-01 00:00:00+00') TO ('2022-02-01 00:00:00+00');
CREATE TABLE payment_p2022_02 PARTITION OF payment FOR VALUES FROM ('2022-02-01 00:00:00+00') TO ('2022-03-01 00:00:00+00');
CREATE TABLE payment_rest PARTITION OF payment DEFAULT;

INSERT INTO actor (first_name, last_name) SELECT 'First' || n, 'O''Last-' || n FROM generate_series(1, 200) n;
INSERT INTO category (name) SELECT unnest(ARRAY['Action', 'Animation', 'Children', 'Classics', 'Comedy', 'Drama']);
INSERT INTO language (name) SELECT unnest(ARRAY['English', 'Français', '日本語']);
INSERT INTO country (country) SELECT 'Country ' || n FROM generate_series(1, 20) n;
INSERT INTO city (city, country_id) SELECT 'Città ' || n, 1 + n % 20 FROM generate_series(1, 100) n;
INSERT INTO address (address, address2, district, city_id, postal_code, phone)
    SELECT n || ' Main Street', CASE WHEN n % 3 = 0 THEN '' END, 'District ' || n % 9, 1 + n % 100, nullif(n % 5, 0) * 1000, ''
    FROM generate_series(1, 603) n;
INSERT INTO film (title, description, release_year, language_id, original_language_id, rental_rate, length, rating,
                  special_features, fulltext)
    SELECT 'FILM ' || n, repeat('A tale. ', n % 7), 1980 + n % 40, 1 + n % 3, CASE WHEN n % 4 = 0 THEN 1 + n % 3 END,
           (n % 5) + 0.99, 40 + n % 140, (enum_range(NULL::mpaa_rating))[1 + n % 5],
           CASE n % 3 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['Trailers', 'Behind the "Scenes"'] END, to_tsvector('english', 'film ' || n)
    FROM generate_series(1, 1000) n;
INSERT INTO film_actor (actor_id, film_id)
    SELECT DISTINCT 1 + n * 7 % 200, 1 + n * 13 % 1000 FROM generate_series(1, 5462) n;
INSERT INTO film_category (film_id, category_id) SELECT n, 1 + n % 6 FROM generate_series(1, 1000) n;
BEGIN;
INSERT INTO store (manager_staff_id, address_id) VALUES (1, 1), (2, 2);
INSERT INTO staff (first_name, last_name, address_id, store_id, username, picture)
    VALUES ('Mike', 'Hillyer', 3, 1, 'mike', '\x89504e470d0a'), ('Jon', 'Stephens', 4, 2, 'jon', NULL);
COMMIT;
INSERT INTO customer (store_id, first_name, last_name, email, address_id, create_date, active)
    SELECT 1 + n % 2, 'Ada' || n, 'Smith' || n, 'ada' || n || '@example.com', 4 + n, '2022-01-14', n % 2 FROM generate_series(1, 599) n;
INSERT INTO inventory (film_id, store_id) SELECT 1 + n % 1000, 1 + n % 2 FROM generate_series(1, 4581) n;
INSERT INTO rental (rental_date, inventory_id, customer_id, return_date, staff_id)
    SELECT '2022-01-01 10:00:00.123456+00'::timestamptz + n * interval '7 minutes', 1 + n % 4581, 1 + n % 599,
           CASE WHEN n % 10 > 0 THEN '2022-01-05 12:00:00+00'::timestamptz + n * interval '7 minutes' END, 1 + n % 2
    FROM generate_series(1, 16044) n;
INSERT INTO payment (customer_id, staff_id, rental_id, amount, payment_date)
    SELECT customer_id, staff_id, rental_id, (rental_id % 9) + 0.99, rental_date + interval '1 hour' FROM rental;
