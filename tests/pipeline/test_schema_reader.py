"""The reader of config/warehouse.sql against PostgreSQL: what it reads is what the catalog shows, or it refuses."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connected
from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import sqlstate
from lambda_toolkit.pipeline.warehouse.ddl import statements
from lambda_toolkit.pipeline.warehouse.sql_tokens import RESERVED
from tests.support.pipeline import credentials_of
from tests.unit.commands.test_schema_types import SERIAL, WRITTEN

CATALOG = """
    SELECT c.relname::text,
        ARRAY(SELECT ARRAY[attname::text, format_type(atttypid, atttypmod), attnotnull::text,
                (attidentity <> '' OR EXISTS (SELECT FROM pg_attrdef AS d WHERE adrelid = c.oid AND adnum = attnum
                    AND pg_get_expr(adbin, adrelid) NOT LIKE 'NULL%'))::text,
                (attgenerated <> '' OR attidentity = 'a')::text]
            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 ORDER BY attnum),
        ARRAY(SELECT array_to_string(ARRAY(SELECT attname FROM unnest(k.conkey) WITH ORDINALITY AS u(n, o)
                JOIN pg_attribute ON attrelid = c.oid AND attnum = n ORDER BY o), '|')
            FROM pg_constraint AS k WHERE conrelid = c.oid AND contype IN ('p', 'u')),
        ARRAY(SELECT array_to_string(ARRAY(SELECT attname FROM unnest(k.conkey) WITH ORDINALITY AS u(n, o)
                JOIN pg_attribute ON attrelid = c.oid AND attnum = n ORDER BY o), '|') || '>' || f.relname || '>' ||
            array_to_string(ARRAY(SELECT attname FROM unnest(k.confkey) WITH ORDINALITY AS u(n, o)
                JOIN pg_attribute ON attrelid = f.oid AND attnum = n ORDER BY o), '|')
            FROM pg_constraint AS k JOIN pg_class AS f ON f.oid = k.confrelid
            WHERE conrelid = c.oid AND contype = 'f' AND conparentid = 0)
    FROM pg_class AS c WHERE c.relkind = 'r' AND c.relnamespace = 'read'::regnamespace ORDER BY 1
"""
# What PostgreSQL accepts and the reader refuses, by what it says: docs/warehouse.md lists them.
STRICTER = (
    r"may contain only CREATE TABLE",
    r"after the columns is not read",
    r"without a schema",
    r"is created twice",  # IF NOT EXISTS
    r"is not read",
    r"is not known here",
    r"is longer than 63 bytes",
    r"it has no columns",
    r"write the name itself in double quotes",
    r"in one piece",
    r"a space is missing",
    r"only MATCH SIMPLE",
    r"a default is a constant",
    r"an expression in parentheses",
    r"the digits of a second",
    r"a key that is DEFERRABLE",
    r"it is NULL and NOT NULL",
    r"is \S.*, and \S+ is ",  # types of which one is cast to the other
    r"is named twice",
    r"write STORED",
    r"looks like a space",
)


@pytest.fixture(scope="module")
def server(postgres_server):
    with connected(credentials_of(postgres_server, "postgres")) as connection:
        connection.run("CREATE DATABASE schema_reader")
    with connected(credentials_of(postgres_server, "schema_reader")) as connection:
        connection.run("CREATE SCHEMA read; SET search_path TO read; SET client_min_messages TO error")
        yield connection


# What is in a DEFAULT, CHECK or GENERATED, and collations, are the server's to check: prepare shows what it says.
EXPRESSIONS = ("22P02", "22007", "42804", "42883", "42704", "42846", "42601", "42703", "0A000")
HAVE_EXPRESSIONS = re.compile("check|default|generated|collate", re.IGNORECASE)


def by_the_server(connection, texts):
    """Table -> columns, keys and references, as the catalog has them; the SQLSTATE where the server refuses."""
    try:
        connection.run("BEGIN")
        for text in texts:
            connection.run(text)
        return {
            name: ([tuple(column) for column in columns], set(keys), sorted(references))
            for name, columns, keys, references in connection.rows(CATALOG)
        }
    except DatabaseError as error:
        return sqlstate(error)
    finally:
        connection.run("ROLLBACK")


def by_the_reader(entries):
    """The same as the reader has it."""
    return {
        entry.table: (
            [
                (name, column.type, *(str(flag).lower() for flag in (column.required, column.filled, column.computed)))
                for name, column in entry.columns.items()
            ],
            {"|".join(key) for key in entry.keys},
            sorted(f"{'|'.join(r.columns)}>{r.table}>{'|'.join(r.keys)}" for r in entry.references),
        )
        for entry in entries
    }


def compare(connection, text):
    """Raises AssertionError where the reader and the server do not agree; returns whether the reader accepts."""
    try:
        entries = statements(text)
    except WarehouseError as error:
        assert re.match(r"line \d+: ", str(error)), error
        accepted = by_the_server(connection, [text])
        assert isinstance(accepted, str) or any(re.search(known, str(error)) for known in STRICTER), f"{error}\n{text}"
        return False
    found = by_the_server(connection, [entry.statement for entry in entries])
    if isinstance(found, str):
        assert found in EXPRESSIONS and HAVE_EXPRESSIONS.search(text), f"{found}\n{text}"
    else:
        assert found == by_the_reader(entries), text
    return True


NAMES = ["a", "b", "c", "d", "t", "u", "A", '"A"', '"a b"', '"x.y"', '"say ""hi"""', "É", "é€", "a$b", "_1", "value"]
NAMES += ["exclude", "name", "text", "ctid", "order", "user", '"order"', 'U&"\\0061"', "x" * 63, "y" * 64, "left", '""']


def _parts(text):
    return [" ".join(part.split()) for part in text.split("|")]


TYPES = _parts(r"""
    int | integer | int4 | int8 | smallint | bigint | text | varchar | varchar(3) | varchar(0) | character(4) |
    char | nchar | nchar(3) | bpchar | bpchar(3) | "char" | name | numeric | numeric(5) | numeric(5,2) |
    numeric(3,-2) | numeric(2,5) | numeric(1001) | decimal(4,1) | dec | float | float(1) | float(24) | float(25) |
    float(54) | real | float8 | boolean | bool | date | time | time(3) | timetz | timetz(2) | timestamp |
    timestamp(3) | timestamptz | timestamptz(0) | timestamp(7) | interval | interval(2) | bit | bit(3) | varbit |
    varbit(4) | uuid | json | jsonb | xml | bytea | point | inet | money | oid | tsvector | int4range | serial |
    bigserial | serial2 | int[] | int[3] | int[][] | text[] | numeric(5,2)[] | serial[] | varchar(3)[] |
    timestamp[] | wibble | int(4) | text(3) | "integer" | "int4" | "numeric"(4,2) | pg_catalog.int4 |
    pg_catalog.int | pg_catalog.varchar(3) | pg_catalog.timestamptz | pg_catalog.char | public.text |
    pg_catalog."char" | bit[] | double precision | double | character varying | character varying(7) |
    char varying(2) | national char(2) | national character varying(3) | bit varying | bit varying(2) | int array |
    int array[4] | text array[] | timestamp with time zone | timestamp(3) with time zone |
    timestamp with time zone(3) | time(0) without time zone | interval day to second | interval day to second(3) |
    interval year | interval second(2) | interval day(2) | interval year to month | interval month to year |
    interval minute to second (4) | timestamp without time zone | varchar (3) | pg_catalog . int8 | setof int |
    time with time zone [ ] | interval hour to minute []
""")
CONSTRAINTS = _parts(r"""
    primary key | unique | not null | null | default 1 | default -1.5 | default 'x' | default null |
    default null::text | default now() | default (1 + 2) | default 1 + 2 | default true | default current_date |
    default 'a;b)'::text | default e'\'x' | default $$ ; ( $$ | default $q$'$q$::text | default u&'\0041' |
    default pg_catalog.now() | default array[1] | default date '2020-01-01' | check (1 > 0) | check ((')' <> '(')) |
    check (1 > 0) no inherit | check 1 > 0 | generated always as identity | generated by default as identity |
    generated by default as identity (start with 5) | generated always as (1) stored | generated always as (1) |
    collate "C" | collate pg_catalog."C" | references t | references t (a) | references u(b) |
    references t on delete cascade | references t (a) on update set null on delete no action |
    references t match full | references t match simple deferrable | references t deferrable initially deferred |
    references t not deferrable | references read.t | references | constraint k unique | constraint k2 not null |
    constraint k check (true) | unique nulls not distinct | unique deferrable | storage plain | primary | default |
    references t (a, b) | default 1 default 2 | null primary key | compression pglz | not null not null
""")
TABLE_CONSTRAINTS = [
    *(
        "primary key (a)",
        "primary key (a, b)",
        "primary key (b, a)",
        "unique (a, b)",
        "unique (c)",
        "primary key (typo)",
    ),
    *("foreign key (a) references t", "foreign key (a) references u (b)", "foreign key (a, b) references t (a, b)"),
    *(
        "foreign key (b, a) references t (b, a) on delete restrict",
        "check (1 is null or true)",
        "constraint k unique (a)",
    ),
    *("like t", "like t including all", "exclude using btree (a with =)", "unique (a) include (b)", "primary key ()"),
    *(
        "constraint k2 primary key (a)",
        "foreign key (a) references t (c)",
        "check (a",
        "unique (a, a)",
        "primary key a",
    ),
]
SPACES = [" "] * 6 + ["\n", "\t", " /* a /* ) */ ; */ ", " -- ( ; '\n", "\r\n"]
ENDS = [""] * 9 + [" inherits (t)", " partition by list (a)", " with (fillfactor = 70)", " tablespace pg_default", " x"]
BEGINNINGS = ["create table"] * 12 + [
    "CREATE TABLE",
    "create table if not exists",
    "create temp table",
    "create unlogged table",
]
OTHERS = [
    "comment on table t is 'x'",
    "alter table t add column z int",
    "create index on t (a)",
    "set search_path to x",
    "\\d",
]
GOOD_NAMES = ["a", "b", "c", '"A"', '"a b"', "É", "a$b", "x" * 63]
GOOD_TYPES = ["int", "bigint", "text", "varchar(3)", "numeric(5,2)", "date", "timestamptz(3)", "int[]", "boolean"]
GOOD_CONSTRAINTS = ["", "", "", "not null", "null", "default null", "unique", "check (1 > 0)", "not null unique"]
_some = st.sampled_from


@st.composite
def _mostly(draw, good, all_of_them):
    """One of ``good``; of eight times once one of all."""
    return draw(_some(all_of_them if draw(st.integers(0, 7)) == 3 else good))


@st.composite
def schemas(draw):
    """One to three tables, the first of them called t, with a slip here and there."""
    texts = []
    for table in ("t", "u", '"T"')[: draw(st.integers(1, 3))]:
        names = draw(st.lists(_mostly(GOOD_NAMES, NAMES), min_size=1, max_size=4, unique=True))
        columns = [
            f"{name} {draw(_mostly(GOOD_TYPES, TYPES))} {draw(_mostly(GOOD_CONSTRAINTS, CONSTRAINTS))}"
            for name in names
        ]
        extra = [f"primary key ({names[0]})"] if draw(st.booleans()) else []
        extra += [f"foreign key ({names[-1]}) references t"] if draw(st.integers(0, 3)) == 3 else []
        extra += [draw(_some(TABLE_CONSTRAINTS))] if draw(st.integers(0, 7)) == 3 else []
        beginning = draw(_mostly(["create table"], BEGINNINGS))
        texts.append(f"{beginning} {table} ({', '.join([*columns, *extra])}){draw(_mostly([''], ENDS))}")
    if draw(st.integers(0, 15)) == 3:
        texts.append(draw(_some(OTHERS)))
    text = ";\n".join(texts) + draw(_some(["", ";", ";;"]))
    if draw(st.integers(0, 7)) == 3:
        place = draw(st.integers(0, len(text) - 1))
        slip = draw(_some(["", ",", "(", ")", "'", '"', ";", "$", "/*", "--", "\u00a0", "x"]))
        text = text[:place] + slip + text[place + 1 :]
    spaces = draw(st.lists(_some(SPACES), min_size=1, max_size=8))
    return "".join(spaces[n % len(spaces)] if word == " " else word for n, word in enumerate(re.split(r"( )", text)))


def test_schema_is_read_as_the_catalog_shows_it(server):
    """Random schemas: what is accepted is in the catalog exactly so; what is refused is refused by both, or listed."""
    counts = {True: 0, False: 0}

    @settings(
        max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink]
    )
    @given(schemas())
    def examine(text):
        counts[compare(server, text)] += 1

    examine()
    assert min(counts.values()) > 30, counts


@pytest.mark.parametrize("kind", TYPES)
def test_schema_every_type_is_read_or_refused(server, kind):
    compare(server, f"create table t (a {kind})")


def test_schema_types_are_those_that_the_server_shows(server):
    written = [*WRITTEN, *SERIAL]
    found = by_the_server(server, [f"CREATE TABLE t ({', '.join(f'c{n} {kind}' for n, kind in enumerate(written))})"])
    assert dict(zip(written, [kind for _, kind, *_ in found["t"][0]], strict=True)) == {**WRITTEN, **SERIAL}


@pytest.mark.parametrize("constraint", [*CONSTRAINTS, *(f"null, {text}" for text in TABLE_CONSTRAINTS)])
def test_schema_every_constraint_is_read_or_refused(server, constraint):
    for kind in ("int", "text"):
        columns = f"a {kind} unique, b {kind}, c {kind} {constraint}"
        compare(server, f"create table t ({columns}, primary key (b, a), unique (b))")
        other = f"create table u (a {kind}, b {kind}, c {kind} {constraint})"
        compare(server, f"create table t (a {kind} primary key, b {kind}); {other}")


def test_schema_reserved_words_are_those_of_the_server(server):
    words = server.rows("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    assert {row[0] for row in words} <= RESERVED
    for word in RESERVED:
        compare(server, f"create table t ({word} int)")
