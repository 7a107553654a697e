"""The mirror: every table of a source as it is, with every version, through changes of rows and of tables."""

from __future__ import annotations

import contextlib
import json

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.client.sources.mirror import Follow, refreshed
from lambda_toolkit.pipeline.config.mirror import MIRROR_FILE, is_mirrored, read_mirror, to_json
from lambda_toolkit.pipeline.errors import CommandError, ConfigurationError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from tests.pipeline.proposal.mirrored_project import mirrored_project

RENTAL = """
    CREATE TYPE rating AS ENUM ('G', 'PG-13', 'R'); CREATE DOMAIN year AS int CHECK (VALUE > 1900);
    CREATE TABLE film (film_id serial PRIMARY KEY, title varchar(40) NOT NULL, released year, rating rating,
        features text[], rate numeric(4,2) NOT NULL DEFAULT 4.99, length smallint, details jsonb, found tsvector,
        louder text GENERATED ALWAYS AS (title || '!') VIRTUAL,
        shouted text GENERATED ALWAYS AS (upper(title)) STORED, price money, valid_from date, _batch int);
    CREATE TABLE staff (staff_id int PRIMARY KEY, name text NOT NULL, manager_id int REFERENCES staff, hired date);
    CREATE TABLE payment (payment_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, film_id int REFERENCES film,
        amount numeric, at timestamptz NOT NULL, took interval, record_number int) PARTITION BY HASH (payment_id);
    CREATE TABLE payment_0 PARTITION OF payment FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE payment_1 PARTITION OF payment FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    CREATE TABLE "Order Details" ("Order ID" uuid PRIMARY KEY, "Unit Price" float8, "a.b" text, "select" bytea);
    CREATE TABLE film_staff (film_id int REFERENCES film, staff_id int REFERENCES staff, since timestamp,
        PRIMARY KEY (staff_id, film_id));
    CREATE TABLE visit (day date, place text, guests int, PRIMARY KEY (day, place)) PARTITION BY RANGE (day);
    CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
    CREATE TABLE visit_2 PARTITION OF visit FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
    CREATE TABLE current_film (id int PRIMARY KEY, note text);
    CREATE TABLE keyless (a int);
    INSERT INTO film (title, released, rating, features, details, found, price, valid_from, _batch)
        SELECT 'Film ' || n, 1950 + n, (ENUM_RANGE(NULL::rating))[1 + n % 3], ARRAY['a', NULL, 'b,"' || n],
        jsonb_build_object('n', n), to_tsvector('film ' || n), n, '2020-01-01'::date + n, n
        FROM generate_series(1, 40) AS n;
    INSERT INTO staff SELECT n, 'Name ' || n, NULLIF(n / 3, 0), '2001-01-01' FROM generate_series(1, 9) AS n;
    INSERT INTO payment (film_id, amount, at, took, record_number)
        SELECT 1 + n % 40, n * 1.10, '2024-01-01'::timestamptz + n * interval '7 hours', n * interval '1 day 2 hours', n
        FROM generate_series(1, 60) AS n;
    INSERT INTO "Order Details" SELECT md5(n::text)::uuid, n / 7.0, 'x' || n, decode(md5(n::text), 'hex')
        FROM generate_series(1, 10) AS n;
    INSERT INTO current_film VALUES (1, 'one');
    INSERT INTO film_staff SELECT 1 + n % 30, 1 + n % 9, '2020-01-01' FROM generate_series(1, 25) AS n;
    INSERT INTO visit SELECT '2024-01-01'::date + n, 'p' || n % 3, n FROM generate_series(0, 50) AS n;
"""


@pytest.fixture
def project(database, buckets, tmp_path):
    with contextlib.ExitStack() as stack:
        yield mirrored_project(
            tmp_path / "rental", database(RENTAL), database(), lambda to: stack.enter_context(connect(to)), buckets
        )


def names(project):
    return project.declarations().warehouse


def test_every_table_equals_the_source_through_all_that_changes(project):
    """Not one file is edited: rows, columns, tables and types of the source change, and the mirror follows."""
    source = project.source
    assert project.prepare().changes == ()
    assert sorted(names(project)) == [
        *("Order Details", "current_film", "film_staff", "mirror_film", "payment", "staff", "visit")
    ]
    film, payment = names(project)["mirror_film"], names(project)["payment"]
    assert list(film.columns)[-1] == "_batch_2", "a name that load uses itself"
    assert payment.record == "record_number_2", "the source has the other name"
    project.run()

    source.run(
        """INSERT INTO film (title) VALUES ('new'); UPDATE film SET rate = rate + 1, rating = NULL WHERE film_id < 5;
           UPDATE staff SET manager_id = 1 WHERE staff_id = 9; DELETE FROM payment WHERE payment_id % 7 = 0;
           UPDATE payment SET amount = amount + 0.0 WHERE payment_id < 4;
           UPDATE "Order Details" SET "Unit Price" = 'NaN', "a.b" = '' WHERE "Unit Price" < 1;
           INSERT INTO staff VALUES (10, 'x', 10, NULL); DELETE FROM film_staff WHERE staff_id = 2;
           UPDATE film_staff SET staff_id = 10 WHERE film_id = 2; UPDATE visit SET guests = 0 WHERE place = 'p1';
           UPDATE visit SET day = day + 20 WHERE day = '2024-01-20'"""
    )
    project.run()
    source.run("UPDATE film SET rate = rate - 1 WHERE film_id < 3; DELETE FROM film_staff WHERE staff_id = 9")
    project.run()

    source.run(
        """ALTER TABLE film ADD COLUMN stars int NOT NULL DEFAULT 3; ALTER TABLE payment ADD COLUMN note text;
           ALTER TABLE staff ALTER COLUMN name DROP NOT NULL; ALTER TYPE rating ADD VALUE 'X';
           CREATE TABLE shop (id int PRIMARY KEY, name text); INSERT INTO shop VALUES (1, 'first')"""
    )
    changes = project.prepare().changes
    for says in (
        "film.stars (integer) is a new column of the source: prepare --alter adds stars (integer) to mirror_film",
        "payment.note (text) is a new column",
        "staff.name may be NULL in the source now",
        "shop is a new table of the source: prepare creates shop.",
    ):
        assert any(says in change for change in changes), says
    source.run(
        "UPDATE film SET rating = 'X', stars = 5 WHERE film_id = 7; UPDATE staff SET name = NULL WHERE staff_id = 1"
    )
    project.run()
    assert project.prepare().changes == ()


def test_dropped_columns_and_wider_types_keep_the_versions(project):
    project.prepare()
    project.run()
    warehouse = project.warehouse
    warehouse.run("CREATE ROLE analyst_of_mirrors; GRANT SELECT ON current_mirror_film TO analyst_of_mirrors")
    project.source.run(
        """ALTER TABLE film DROP COLUMN released, DROP COLUMN rate, ALTER COLUMN length TYPE int;
           UPDATE film SET length = 5 WHERE film_id = 1"""
    )
    try:
        changes = " ".join(project.prepare().changes)
        assert (
            "film.rate is no column of the source any more: mirror_film.rate stays for the earlier versions" in changes
        )
        assert "film.length is integer in the source now: prepare --alter makes mirror_film.length integer." in changes
        assert "rate" not in names(project)["mirror_film"].columns
        granted = warehouse.rows("SELECT has_table_privilege('analyst_of_mirrors', 'current_mirror_film', 'SELECT')")
        assert granted == [[True]], "the view was created again, with its privileges"
        kept = warehouse.rows("SELECT count(*), count(rate), count(released) FROM mirror_film")
        assert kept == [[40, 40, 40]]
    finally:
        warehouse.run("DROP OWNED BY analyst_of_mirrors; DROP ROLE analyst_of_mirrors")
    column = json.loads((project.folder / MIRROR_FILE).read_text(encoding="utf-8"))["tables"]["film"]["columns"]
    assert column["rate"] == {"type": "numeric(4,2)", "required": False, "dropped": True}
    assert column["length"] == {"type": "integer", "required": False}
    project.source.run("UPDATE film SET length = 100000 WHERE film_id = 2")
    project.narrowed.add("mirror_film")
    project.run(accept_types=["film.length"])
    assert warehouse.rows("SELECT length, rate::text, title FROM mirror_film WHERE film_id = 2 ORDER BY 1") == [
        [100000, None, "Film 2"],
        [None, "4.99", "Film 2"],
    ]


def test_a_written_mirror_needs_no_way_to_the_source(project):
    """What CI deploys is what the file says; without the file, the error says what to do."""
    written = (project.folder / MIRROR_FILE).read_text(encoding="utf-8")
    unreached = project.target()
    unreached.environ["SOURCE_DATABASE_URL"] = "postgresql://a:s3cret@127.0.0.1:1/b"
    project.source.run("ALTER TABLE staff ADD COLUMN later int")
    offline = refreshed(project.target(with_source=False), Follow.EVERYTHING)
    failed = refreshed(unreached, Follow.EVERYTHING)
    assert offline.target.pipeline.mirror == failed.target.pipeline.mirror
    assert offline.lines == ()
    assert "config/mirror.json was used as it is: " in failed.notes[0]
    assert (project.folder / MIRROR_FILE).read_text(encoding="utf-8") == written
    assert to_json(read_mirror(project.folder)) == written, "it reads back as it was written"

    for follow in (Follow.NOTHING, Follow.TABLES):
        seen = refreshed(project.target(), follow)
        assert "later" not in str(seen.target.pipeline.mirror), "the warehouse has no such column yet"
        assert any("staff.later (integer) is a new column" in change for change in seen.changes)
        assert (project.folder / MIRROR_FILE).read_text(encoding="utf-8") == written

    (project.folder / MIRROR_FILE).unlink()
    for target in (project.target(with_source=False), unreached):
        with pytest.raises(CommandError, match=r"mirror\.json (does not exist|cannot be made)") as caught:
            refreshed(target, Follow.NOTHING)
        assert "s3cret" not in str(caught.value)
    again = refreshed(project.target(), Follow.NOTHING)
    assert "config/mirror.json lists 7 tables: commit it." in again.changes
    assert read_mirror(project.folder) is not None


def test_prepare_shows_what_alter_would_do(project):
    """Nothing is altered before it is asked for; what is asked for is done, and the next call finds nothing."""
    arguments = ["prepare", "--config", str(project.folder / "config" / "pipeline.toml")]

    def prepare(*more: str):
        return CliRunner().invoke(deploy.main, [*arguments, *more], env=project.environ)

    assert prepare().exit_code == 0
    project.source.run(
        """ALTER TABLE staff ADD COLUMN later numeric(5,1) NOT NULL DEFAULT 1; DROP TABLE visit;
           CREATE TABLE shop (id int PRIMARY KEY)"""
    )
    first = prepare()
    assert first.exit_code == 0, "the functions and the warehouse go on with what they both know"
    assert "+ table shop" in first.stdout
    assert {"shop", "visit"} & {table.source for table in read_mirror(project.folder).tables} == {"shop"}
    assert '  ALTER TABLE staff ADD COLUMN "later" numeric(5,1);' in first.stdout
    assert "These lose nothing: prepare --alter runs them." in first.stdout
    second = prepare("--alter")
    assert second.exit_code == 0, second.output
    assert '~ ALTER TABLE staff ADD COLUMN "later" numeric(5,1)' in second.stdout
    project.warehouse.run("DROP VIEW current_staff, history_staff; ALTER TABLE staff DROP COLUMN later")
    assert prepare().exit_code == 1, "another warehouse, which lacks what the file has"
    assert prepare("--alter").exit_code == 0
    third = json.loads(prepare("--json").stdout)
    assert {name for name, found in third.items() if found} == {"mirror"}, "the note about the table without a key"
    assert third["mirror"] == [third["mirror"][0]]
    assert "keyless cannot be mirrored. It has neither a primary key" in third["mirror"][0]


def test_a_star_and_a_mirror_are_in_one_warehouse(project):
    config = project.folder / "config"
    toml = (config / "pipeline.toml").read_text(encoding="utf-8")
    star = """
[source.film]
key = "film_id"
deletes = "1 hour"
[warehouse.dim_film]
kind = "dimension"
from = "film"
key = "film_id"
columns = { film_id = "film_id", title = "title" }
"""
    sql_text = "CREATE TABLE dim_film (film_id int PRIMARY KEY, title text NOT NULL) -- no semicolon"
    (config / "warehouse.sql").write_text(sql_text, encoding="utf-8")
    (config / "pipeline.toml").write_text(toml.replace('["*"]', '["*", "!visit"]') + star, encoding="utf-8")
    project.prepare()
    declared = project.declarations()
    assert {"dim_film", "mirror_film", "payment"} < set(declared.warehouse)
    assert not {"visit", "keyless"} & set(declared.warehouse)
    assert declared.source["film"].deletes is not None, "what is declared of a source table is kept"
    pipeline = toml.replace('["*"]', '["*", "!visit"]') + star.replace("dim_film", "staff")
    (config / "pipeline.toml").write_text(pipeline, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r'give two tables the name staff.* exclude the first with "!staff"'):
        project.target(with_source=False)


def test_what_the_mirror_cannot_follow_is_named_with_its_remedy(project):
    project.prepare()
    project.source.run(
        """ALTER TABLE staff DROP CONSTRAINT staff_pkey CASCADE; ALTER TABLE staff DROP COLUMN staff_id CASCADE;
           ALTER TABLE staff ADD PRIMARY KEY (name); ALTER TABLE film ALTER COLUMN _batch TYPE text;
           DROP TABLE visit; ALTER TABLE current_film DROP CONSTRAINT current_film_pkey"""
    )
    made = refreshed(project.target(), Follow.EVERYTHING)
    changes = " ".join(made.changes)
    for says in (
        "staff_id of staff, which identifies its versions, is not what it was: the mirror does not follow.",
        "film._batch is text in the source now, and mirror_film._batch_2 is integer: mirror_film._batch_2 stays for",
        "film._batch (text) is a new column of the source: prepare --alter adds _batch_3 (text) to mirror_film",
        "visit is no table of the source any more: visit and its views stay in the warehouse as they are.",
    ):
        assert says in changes, says
    assert any("current_film cannot be mirrored. It has neither" in note for note in made.notes)
    tables = made.target.pipeline.tables["warehouse"]
    assert "visit" not in tables
    assert {"staff", "current_film"} < set(tables), "extract says that they cannot be read, until that is decided"


@pytest.mark.parametrize(
    ("patterns", "means"),
    [
        (["*"], ["a", "audit_x", "b.c", "é"]),
        (["*", "!audit_*"], ["a", "b.c", "é"]),
        (["!audit_*", "*"], ["a", "audit_x", "b.c", "é"]),
        (["*", "!*", "a"], ["a"]),
        (["?"], ["a", "é"]),
        (["b.c", "[a]", "a.*"], ["b.c"]),
        ([], []),
    ],
)
def test_the_last_pattern_that_fits_counts(patterns, means):
    assert [name for name in ("a", "audit_x", "b.c", "é") if is_mirrored(patterns, name)] == means


def test_a_mirror_of_another_form_says_what_to_do(project):
    for text in ("", "[]", '{"format": 2}', '{"format": 1}', '{"format": 1, "tables": {"a": {}}}'):
        (project.folder / MIRROR_FILE).write_text(text, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="Restore it from the repository; or remove it"):
            project.target()
