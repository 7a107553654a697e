"""SQL is composed of quoted names; types are distinguished; a schema is split into its statements."""

from __future__ import annotations

import hashlib

import pyarrow as pa
import pytest

from lambda_toolkit.pipeline.lambdas.extract.source.schema_drift import check_needed
from lambda_toolkit.pipeline.lambdas.load.warehouse.binary.copying import to_csv
from lambda_toolkit.pipeline.lambdas.shared.conversions import base_type
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError, WarehouseError
from lambda_toolkit.pipeline.lambdas.shared.lake.parquet import arrow_type
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import parse_expression
from lambda_toolkit.pipeline.lambdas.shared.postgres import sql
from lambda_toolkit.pipeline.warehouse.ddl import statements


def test_names_are_quoted():
    assert sql.identifier('a"b; DROP') == '"a""b; DROP"'
    assert sql.table("t") == '"public"."t"'
    assert sql.columns(["a", "b"], of="t") == '"t"."a", "t"."b"'
    assert sql.compose("SELECT $c FROM $t", c=sql.columns(["a"]), t=sql.table("t")) == 'SELECT "a" FROM "public"."t"'


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64, "é" * 32])
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(ValueError, match="cannot be the name"):
        sql.identifier(name)


def test_a_bare_string_is_no_part_of_a_statement():
    with pytest.raises(TypeError, match="must be a Fragment"):
        sql.compose("SELECT $c", c="1; DROP TABLE x")


@pytest.mark.parametrize(("value", "quoted"), [("a", "'a'"), ("O'Keefe", "'O''Keefe'"), ("a\\'", "E'a\\\\'''")])
def test_constants_are_quoted(value, quoted):
    assert sql.constant(value) == quoted


def test_a_constant_has_no_nul():
    with pytest.raises(ValueError, match="NUL"):
        sql.constant("\0")


@pytest.mark.parametrize(
    ("postgres", "arrow"),
    [
        ("integer", pa.int32()),
        ("smallint", pa.int16()),
        ("numeric", pa.string()),
        ("numeric(10,2)", pa.decimal128(10, 2)),
        ("numeric(5,0)", pa.decimal128(5, 0)),
        ("numeric(50,2)", pa.string()),
        ("numeric(5,-2)", pa.string()),
        ("numeric(2,5)", pa.string()),
        ("timestamp(3) without time zone", pa.timestamp("us")),
        ("timestamp with time zone", pa.timestamp("us", "UTC")),
        ("character varying(3)", pa.string()),
        ("integer[]", pa.string()),
        ("jsonb", pa.string()),
    ],
)
def test_types_are_kept_exactly_or_as_text(postgres, arrow):
    assert arrow_type(postgres) == arrow


def test_base_types():
    assert base_type("timestamp(3) without time zone") == "timestamp without time zone"
    assert base_type("character varying(3)") == "character varying"


NEEDED = {"id": (), "paid": (), "amount": (parse_expression("decimal(amount, 10, 2)"),)}
COLUMNS = {"id": "integer", "paid": "boolean", "amount": "numeric"}


def test_a_source_table_is_checked_against_what_is_needed():
    check_needed("payment", COLUMNS, NEEDED, {})
    check_needed("payment", COLUMNS, NEEDED, {"id": "integer", "amount": "numeric(10,2)", "dropped": "text"})


@pytest.mark.parametrize(
    ("columns", "previous", "words"),
    [
        ({"id": "integer", "paid": "boolean"}, {}, "payment lacks the column amount"),
        ({**COLUMNS, "amount": "real"}, {}, "payment.amount is of type real"),
        (COLUMNS, {"paid": "text"}, "payment.paid was of type text and is now boolean"),
    ],
)
def test_what_is_missing_or_retyped_is_named(columns, previous, words):
    with pytest.raises(SourceError, match=words):
        check_needed("payment", columns, NEEDED, previous)


def test_a_schema_is_cut_at_its_semicolons_only():
    found = statements(
        """-- a comment; with a semicolon and an o'clock
        CREATE TABLE one (a text DEFAULT ';''(' /* ; */, b integer); -- end
        create table if not exists "Two;" ("c;""d" text DEFAULT $x$;$x$);
        """
    )
    assert [entry.table for entry in found] == ["one", "Two;"]
    assert found[0].statement.startswith("CREATE TABLE one")
    assert "';''('" in found[0].statement
    assert found[1].statement.endswith("$x$;$x$)")


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("DROP TABLE x", "only CREATE TABLE"),
        ("CREATE TABLE a (b int); INSERT INTO a VALUES (1)", "only CREATE TABLE"),
        ("CREATE TABLE s.t (a int)", "table s: write its name without a schema"),
    ],
)
def test_a_schema_holds_nothing_but_tables(text, refused):
    with pytest.raises(WarehouseError, match=refused):
        statements(text)


def test_csv_tells_null_from_an_empty_text():
    table = pa.table({"a": ["", None, 'q"'], "b": pa.array([1, None, 2], pa.int32())})
    assert b"".join(to_csv([table])) == b'"",1\n,\n"q""",2\n'


def test_names_are_as_long_as_postgresqls():
    for name in ("x" * 63, "é" * 31):
        assert sql.identifier(name) == f'"{name}"' and sql.bounded(name) == name
    of_latin, of_greek = sql.bounded("x" * 64), sql.bounded("é" * 32)
    assert of_latin == "x" * 54 + "_" + hashlib.sha256(b"x" * 64).hexdigest()[:8]
    assert of_greek == "é" * 27 + "_" + hashlib.sha256("é".encode() * 32).hexdigest()[:8]
    assert (
        sql.bounded("é" + "x" * 62) == "é" + "x" * 52 + "_" + hashlib.sha256("é".encode() + b"x" * 62).hexdigest()[:8]
    )
    assert sql.bounded("x" * 53 + "é" + "x" * 9).startswith("x" * 53 + "_"), "no half of a character"


def test_pieces_are_put_together():
    pieces = [sql.identifier("a"), sql.number(7), sql.constant("b")]
    assert sql.joined(" AND ", pieces) == "\"a\" AND 7 AND 'b'"
    assert (sql.table("t", "s"), sql.columns(["a", 'b"'])) == ('"s"."t"', '"a", "b"""')
    assert (sql.constant("\\"), sql.constant("")) == ("E'\\\\'", "''")
    for piece in (*pieces, sql.joined("", []), sql.table("t"), sql.columns([]), sql.compose("$a", a=pieces[0])):
        assert isinstance(piece, sql.Fragment)
    with pytest.raises(TypeError, match=r"\$b must be a Fragment, not str"):
        sql.compose("$a $b", a=pieces[0], b="x")
    with pytest.raises(KeyError):
        sql.compose("$a $c", a=pieces[0])
