-- The source's tables, for trying this pipeline on this machine: `lambda-script local up` makes them in its own
-- PostgreSQL. The output of pg_dump will do as it is: owners and privileges in it are skipped. On AWS the source is
-- there already, and nobody reads this file.

CREATE TABLE customer (
    customer_id  integer PRIMARY KEY,
    name         text NOT NULL
);
CREATE TABLE purchase (
    purchase_id  integer PRIMARY KEY,
    customer_id  integer NOT NULL REFERENCES customer (customer_id),
    amount       numeric NOT NULL,
    created_at   timestamp NOT NULL DEFAULT now()
);
INSERT INTO customer VALUES (1, 'Ada'), (2, 'O''Hara');
INSERT INTO purchase (purchase_id, customer_id, amount) VALUES (1, 1, 9.99), (2, 2, 20);
