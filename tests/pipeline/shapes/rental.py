"""A rental shop: composite keys, bridges, partitions, arrays, an enum, a snowflake, three schemas."""

from __future__ import annotations

from tests.pipeline.shapes.shape import MAYBE_TEXTS, TEXTS, Shape, SourceTable, numbers

_CASCADE = "ON UPDATE CASCADE ON DELETE CASCADE"
_NULL = "ON UPDATE CASCADE ON DELETE SET NULL"
DDL = f"""
DROP SCHEMA IF EXISTS geo, "The Desk" CASCADE; CREATE SCHEMA geo; CREATE SCHEMA "The Desk";
CREATE TYPE rating AS ENUM ('G', 'PG', 'R');
CREATE TABLE geo.country (country_id int PRIMARY KEY, name text);
CREATE TABLE geo.city (city_id int PRIMARY KEY, name text NOT NULL, country_id int REFERENCES geo.country {_NULL});
CREATE TABLE geo.address (address_id bigint PRIMARY KEY, street text, city_id int REFERENCES geo.city {_NULL});
CREATE TABLE customer (customer_id int PRIMARY KEY, name varchar(40), email text, active boolean,
    address_id bigint REFERENCES geo.address {_NULL});
CREATE TABLE film (film_id int PRIMARY KEY, title text NOT NULL, rating rating, features text[], length smallint,
    rate numeric(6,2), fulltext tsvector GENERATED ALWAYS AS (to_tsvector('simple', title)) STORED);
CREATE TABLE category (category_id smallint PRIMARY KEY, name text);
CREATE TABLE actor (actor_id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE film_actor (actor_id int REFERENCES actor {_CASCADE}, film_id int REFERENCES film {_CASCADE}, role text,
    PRIMARY KEY (actor_id, film_id));
CREATE TABLE film_category (film_id int REFERENCES film {_CASCADE}, category_id smallint REFERENCES category {_CASCADE},
    PRIMARY KEY (film_id, category_id));
CREATE TABLE "The Desk".rental (rental_id int PRIMARY KEY, film_id int NOT NULL REFERENCES film {_CASCADE},
    customer_id int REFERENCES customer {_NULL}, rented timestamptz NOT NULL, returned timestamptz);
CREATE TABLE "The Desk".payment (payment_id int, paid timestamptz, rental_id int REFERENCES "The Desk".rental {_NULL},
    amount numeric(7,2), PRIMARY KEY (paid, payment_id)) PARTITION BY RANGE (paid);
CREATE TABLE "The Desk".payment_1 PARTITION OF "The Desk".payment FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE "The Desk".payment_2 PARTITION OF "The Desk".payment FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE "The Desk".payment_rest PARTITION OF "The Desk".payment DEFAULT;
"""
_TIMES = (
    *("'2024-01-31 23:59:59.999999+00'", "'2024-02-01 00:00+02'", "'2024-02-29 12:00+00'", "'2024-01-02'"),
    *("'1999-12-31 23:30-01'", "'2024-03-01 00:00:00.000001+00'"),
)
TABLES = (
    SourceTable("geo.country", ("country_id",), {"country_id": numbers(6), "name": MAYBE_TEXTS}, 6),
    SourceTable(
        "geo.city", ("city_id",), {"city_id": numbers(10), "name": TEXTS, "country_id": numbers(6, "NULL")}, 15
    ),
    SourceTable(
        "geo.address",
        ("address_id",),
        {"address_id": numbers(15, str(2**40)), "street": MAYBE_TEXTS, "city_id": numbers(10, "NULL")},
    ),
    SourceTable(
        "customer",
        ("customer_id",),
        {
            "customer_id": numbers(25),
            "name": MAYBE_TEXTS,
            "email": MAYBE_TEXTS,
            "active": ("true", "true", "true", "false", "NULL"),
            "address_id": numbers(15, str(2**40), "NULL"),
        },
        30,
    ),
    SourceTable(
        "film",
        ("film_id",),
        {
            "film_id": numbers(20),
            "title": TEXTS,
            "rating": ("'G'", "'PG'", "'R'", "NULL"),
            "features": ("'{}'", "NULL", "'{a,NULL,\"NULL\"}'", '\'{"x \\"y",""}\'', "'[0:1]={a,b}'"),
            "length": ("90", "120", "121", "NULL"),
            "rate": ("0.99", "4.50", "NULL", "-1"),
        },
        25,
    ),
    SourceTable("category", ("category_id",), {"category_id": numbers(5), "name": MAYBE_TEXTS}, 6),
    SourceTable("actor", ("actor_id",), {"actor_id": numbers(10), "name": TEXTS}, 12),
    SourceTable(
        "film_actor",
        ("actor_id", "film_id"),
        {"actor_id": numbers(10), "film_id": numbers(20), "role": MAYBE_TEXTS},
        60,
    ),
    SourceTable("film_category", ("film_id", "category_id"), {"film_id": numbers(20), "category_id": numbers(5)}, 30),
    SourceTable(
        '"The Desk".rental',
        ("rental_id",),
        {
            "rental_id": numbers(50),
            "film_id": numbers(20),
            "customer_id": numbers(25, "NULL"),
            "rented": _TIMES,
            "returned": (*_TIMES, "NULL"),
        },
        80,
    ),
    SourceTable(
        '"The Desk".payment',
        ("paid", "payment_id"),
        {
            "payment_id": numbers(12),
            "paid": _TIMES,
            "rental_id": numbers(50, "NULL"),
            "amount": ("1.00", "2.50", "0.01", "0", "-5", "NULL"),
        },
        80,
    ),
)
CONFIG = """
source.country = { key = "country_id", schema = "geo" }
source.city = { key = "city_id", schema = "geo" }
source.address = { key = "address_id", schema = "geo" }
source.customer.key = "customer_id"
source.film.key = "film_id"
source.category.key = "category_id"
source.actor.key = "actor_id"
source.film_actor.key = ["actor_id", "film_id"]
source.film_category.key = ["film_id", "category_id"]
source.rental = { key = "rental_id", schema = "The Desk" }
source.payment = { key = ["paid", "payment_id"], schema = "The Desk" }

[warehouse.dim_date]
kind = "calendar"
key = "date_id"

[warehouse.dim_customer]
kind = "dimension"
from = "customer"
key = "customer_id"
join.address = "address_id"
join.city = { on = "city_id", from = "address" }
join.country = { on = "country_id", from = "city" }
columns.customer_id = "customer_id"
columns.label = "coalesce(name, '?') || ' <' || email || '>'"
columns.street = "address.street"
columns.city = "city.name"
columns.place = "coalesce(city.name || ', ' || country.name, city.name, 'nowhere')"

[warehouse.dim_film]
kind = "dimension"
from = "film"
key = "film_id"
columns.film_id = "film_id"
columns.title = "title"
columns.rating = "rating"
columns.features = "features"
columns.rate = "rate"
columns.hours = "CASE WHEN length > 120 OR rating = 'R' THEN 'late' WHEN length IS NOT NULL THEN 'any' END"

[warehouse.bridge_film_actor]
kind = "dimension"
from = "film_actor"
key = ["actor_id", "film_id"]
join = { actor = "actor_id", film = "film_id" }
where = "film.rating <> 'R' AND actor.name <> ''"
columns = { actor_id = "actor_id", film_id = "film_id", role = "coalesce(role, actor.name)" }

[warehouse.bridge_film_category]
kind = "dimension"
from = "film_category"
key = ["film_id", "category_id"]
join = { category = "category_id" }
columns = { film_id = "film_id", category_id = "category_id", category = "category.name" }

[warehouse.fact_rental]
kind = "fact"
from = "rental"
key = "rental_id"
record = "rental_record"
join.customer = "customer_id"
join.address = { on = "address_id", from = "customer" }
join.city = { on = "city_id", from = "address" }
columns.rental_id = "rental_id"
columns.film_id = "film_id"
columns.customer_id = "customer_id"
columns.rented = "rented"
columns.rented_on = "date(rented)"
columns.days = "returned::date - rented::date"
columns.city = "city.name"

[warehouse.fact_payment]
kind = "fact"
from = "payment"
key = ["paid", "payment_id"]
record = "payment_record"
where = "amount > 0 AND customer.active"
columns.paid = "paid"
columns.payment_id = "payment_id"
columns.rental_id = "rental_id"
columns.customer_id = "rental.customer_id"
columns.amount = "amount"
columns.title = "film.title"
columns.paid_on = "date(paid)"

[warehouse.fact_payment.join]
rental = "rental_id"
customer = { on = "customer_id", from = "rental" }
film = { on = "film_id", from = "rental" }
"""
WAREHOUSE = """
CREATE TABLE dim_date (date_id date PRIMARY KEY, year integer NOT NULL, month integer NOT NULL, day integer NOT NULL,
    day_of_week integer NOT NULL, day_name varchar NOT NULL, month_name varchar NOT NULL, quarter integer NOT NULL);
CREATE TABLE dim_customer (customer_id int PRIMARY KEY, label text, street text, city text, place text NOT NULL);
CREATE TABLE dim_film (film_id int PRIMARY KEY, title text NOT NULL, rating varchar(2), features text[],
    rate numeric(6,2), hours text);
CREATE TABLE bridge_film_actor (actor_id int, film_id int REFERENCES dim_film, role text NOT NULL,
    PRIMARY KEY (film_id, actor_id));
CREATE TABLE bridge_film_category (film_id int REFERENCES dim_film, category_id smallint, category text,
    PRIMARY KEY (film_id, category_id));
CREATE TABLE fact_rental (rental_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, rental_id int NOT NULL,
    film_id int NOT NULL REFERENCES dim_film, customer_id int REFERENCES dim_customer, rented timestamptz NOT NULL,
    rented_on date NOT NULL REFERENCES dim_date, days int, city text);
CREATE TABLE fact_payment (payment_record bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    paid timestamptz NOT NULL, payment_id int NOT NULL, rental_id int, customer_id int REFERENCES dim_customer,
    amount numeric(7,2) NOT NULL,
    title text, paid_on date NOT NULL REFERENCES dim_date);
"""
ORACLE = {
    "dim_customer": """
        SELECT customer_id, coalesce(c.name, '?') || ' <' || email || '>' AS label, street, t.name AS city,
            CASE WHEN t.name IS NULL THEN 'nowhere' WHEN l.name IS NULL THEN t.name ELSE t.name || ', ' || l.name END
            AS place
        FROM customer AS c LEFT JOIN (geo.address AS a LEFT JOIN
            (geo.city AS t LEFT JOIN geo.country AS l USING (country_id)) USING (city_id)) USING (address_id)
    """,
    "dim_film": """
        SELECT film_id, title, rating::text, features, rate,
            CASE WHEN length > 120 OR rating = 'R' THEN 'late' WHEN length IS NOT NULL THEN 'any' END AS hours FROM film
    """,
    "bridge_film_actor": """
        SELECT actor_id, film_id, coalesce(role, a.name) AS role FROM film_actor JOIN film USING (film_id)
            JOIN actor AS a USING (actor_id) WHERE rating IN ('G', 'PG') AND a.name <> ''
    """,
    "bridge_film_category": """
        SELECT film_id, category_id, name AS category FROM film_category JOIN category USING (category_id)
    """,
    "fact_rental": """
        SELECT rental_id, film_id, customer_id, rented, (rented AT TIME ZONE 'UTC')::date AS rented_on,
            (returned AT TIME ZONE 'UTC')::date - (rented AT TIME ZONE 'UTC')::date AS days, t.name AS city
        FROM "The Desk".rental LEFT JOIN customer USING (customer_id) LEFT JOIN geo.address USING (address_id)
            LEFT JOIN geo.city AS t USING (city_id)
    """,
    "fact_payment": """
        SELECT paid, payment_id, rental_id, r.customer_id, amount, title, (paid AT TIME ZONE 'UTC')::date AS paid_on
        FROM "The Desk".payment JOIN "The Desk".rental AS r USING (rental_id)
            JOIN customer AS c ON c.customer_id = r.customer_id AND c.active JOIN film USING (film_id) WHERE amount > 0
    """,
}
RENTAL = Shape("rental shop", DDL, TABLES, CONFIG, WAREHOUSE, ORACLE, schemas=("geo", '"The Desk"'))
