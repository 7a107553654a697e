"""What a declaration has for a column: a column, a function of the pipeline, or SQL that was parsed before."""

from __future__ import annotations

import json

import pytest

from lambda_toolkit.pipeline.lambdas.extract.source.schema_drift import check_needed
from lambda_toolkit.pipeline.lambdas.shared.errors import SourceError
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import (
    Call,
    Column,
    Constant,
    column_paths,
    from_json,
    to_json,
    without_columns,
)
from lambda_toolkit.pipeline.lambdas.shared.model.expressions import (
    EXPRESSIONS,
    Expression,
    SqlExpression,
    parse_expression,
    read_expression,
    read_sql,
    written,
)
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression as parse_sql

TEXTS = {"text", "character varying", "character"}
MOMENTS = {"timestamp without time zone", "timestamp with time zone"}
READS = {
    "date": {*MOMENTS, *TEXTS, "date"},
    "time": MOMENTS,
    "decimal": {"numeric", "smallint", "integer", "bigint"},
    "currency_name": TEXTS,
}
FORM = "`{}` is neither a column, a table.column, nor a function of one"


TYPES = {*TEXTS, *MOMENTS, "date", "numeric(9,2)", "smallint", "integer", "bigint", "real", "time without time zone"}


@pytest.mark.parametrize(
    ("text", "name"),
    [("date(a)", "date"), ("time(a)", "time"), ("decimal(a, 9, 2)", "decimal"), ("currency_name(a)", "currency_name")],
)
def test_function_reads_the_types_of_its_documentation(text: str, name: str) -> None:
    """docs/configuration.md has them; extract refuses a column of another type."""
    assert set(EXPRESSIONS) == set(READS)
    for kind in TYPES:
        needed = {"a": (parse_expression(text),)}
        if kind.partition("(")[0] in READS[name]:
            check_needed("sale", {"a": kind}, needed, {})
        else:
            with pytest.raises(SourceError, match="sale.a is of type"):
                check_needed("sale", {"a": kind}, needed, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("date()", "`date` takes a column"),
        ("date(a, 1)", "`date` takes a column"),
        ("decimal(a)", "`decimal` takes a column and the integer precision and the integer scale"),
        ("decimal(a, 3, x)", "`decimal` takes a column and the integer precision and the integer scale"),
        ("decimal(a, 3, 1, 1)", "`decimal` takes a column and the integer precision and the integer scale"),
        ("decimal(a, 0, 0)", "decimal's precision is 1 to 38, and its scale no more than that"),
        ("decimal(a, 39, 1)", "decimal's precision is 1 to 38, and its scale no more than that"),
        ("decimal(a, 3, 4)", "decimal's precision is 1 to 38, and its scale no more than that"),
        ("upper(a)", "there is no function `upper`; known: date, time, decimal, currency_name"),
        ("a b", FORM.format("a b")),
        (" a.b.c ", FORM.format("a.b.c")),
        ("", FORM.format("")),
    ],
)
def test_text_that_is_none_says_what_is_wrong(text: str, says: str) -> None:
    for read in (parse_expression, read_expression):
        with pytest.raises(ValueError) as caught:
            read(text)
        assert str(caught.value) == says


@pytest.mark.parametrize(
    ("text", "found", "shown"),
    [
        ("a", Expression("a"), "a"),
        (' "A b" . "c""d" ', Expression('c"d', "A b"), '"A b"."c""d"'),
        ("decimal(t.a, 38, 38)", Expression("a", "t", "decimal", (38, 38)), "decimal(t.a, 38, 38)"),
        ("decimal( a ,1,0)", Expression("a", None, "decimal", (1, 0)), "decimal(a, 1, 0)"),
        ("time(größe)", Expression("größe", None, "time"), "time(größe)"),
        ('date("true")', Expression("true", None, "date"), 'date("true")'),
    ],
)
def test_expression_is_written_as_it_is_read(text: str, found: Expression, shown: str) -> None:
    assert parse_expression(text) == found
    assert (str(found), found.reads) == (shown, ((found.table, found.column),))
    assert parse_expression(shown) == found


def parsed(text: str) -> Call:
    """A tree that shows what was parsed."""
    return Call("upper", (Constant("text", text), Column(("shop", "town"), 3), Column(("a",), 5)))


def test_sql_is_what_is_no_column_and_no_own_function() -> None:
    for text in ("a + 1", "upper(a)", "true", "NULL", "7", "decimal(a + 1, 3, 1)", "date(date(a))"):
        found = read_expression(f" {text} ", parsed)
        assert found == SqlExpression(text, parsed(text)) == read_sql(f"{text} ", parsed)
        assert (str(found), found.reads) == (text, (("shop", "town"), (None, "a")))
    assert read_expression("a", parsed) == read_expression('"a"', parsed) == Expression("a")
    assert read_expression("true") == Expression("true"), "no package has the parser: its trees were parsed before"
    for own in ("date(a, 1)", "decimal(a, 39, 0)", "currency_name()"):
        with pytest.raises(ValueError, match="takes a column|precision is 1 to 38"):
            read_expression(own, parsed)


def test_sql_of_a_package_has_its_tree() -> None:
    found = read_sql("upper(a)", parsed)
    packaged = json.loads(json.dumps(found.to_json()))
    assert packaged == {
        "sql": "upper(a)",
        "tree": [
            "call",
            0,
            "upper",
            ["constant", 0, "text", "upper(a)"],
            ["column", 3, "shop", "town"],
            ["column", 5, "a"],
        ],
    }
    assert read_expression(packaged) == read_sql(packaged) == read_expression(packaged, parsed) == found
    for text in ("a", "upper(a)"):
        with pytest.raises(ValueError, match="this SQL was not parsed when the function was packaged"):
            read_sql(text)
    for wrong in ({}, {"sql": "a"}, {"sql": "a", "tree": 5}, {"sql": "a", "tree": ["call"]}):
        with pytest.raises(ValueError, match="is not the tree of an expression"):
            read_sql(wrong)
    with pytest.raises(ValueError, match=r"a\.b\.c has too many names: write a column, or alias.column of a join"):
        read_sql("a.b.c", lambda text: Column(("a", "b", "c")))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        *(("a", "a"), ("größe", "größe"), ("A1", "A1"), ("true", '"true"'), ("NULL", '"NULL"'), ("False", '"False"')),
        *(("7", '"7"'), ("7a", "7a"), ("truest", "truest"), ("a b", '"a b"'), ('a"b', '"a""b"'), ("", '""')),
    ],
)
def test_name_is_quoted_where_it_must_be(name: str, shown: str) -> None:
    assert written(name) == shown


CASE = "CASE WHEN t.xxxx = 1 THEN upper(bbbb) ELSE cccc::text || bbbb END"


def test_tree_names_each_column_once_and_may_lack_some() -> None:
    node = parse_sql(CASE)
    assert column_paths(node) == (("t", "xxxx"), ("bbbb",), ("cccc",))
    assert column_paths(parse_sql("CASE WHEN a THEN b END")) == (("a",), ("b",))
    for name in ("bbbb", "cccc"):
        found = without_columns(node, lambda path, name=name: path == (name,))
        assert found == parse_sql(CASE.replace(name, "NULL")), "NULL is where the column was"
    assert without_columns(node, lambda path: False) == node
    assert without_columns(parse_sql("CASE WHEN aaaa THEN 1 END"), lambda path: True) == parse_sql(
        "CASE WHEN NULL THEN 1 END"
    )


TREES = [
    ["column", 7, "t", "a"],
    ["constant", 7, "integer", "5"],
    ["constant", 7, "null", None],
    ["call", 7, "upper", ["column", 9, "a"]],
    ["cast", 7, "numeric(3,1)", ["column", 9, "a"]],
    ["case", 7, [[["column", 1, "a"], ["column", 2, "b"]]], ["column", 3, "c"]],
    ["case", 7, [[["column", 1, "a"], ["column", 2, "b"]]], None],
]


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_tree_is_stored_as_lists(tree: list[object]) -> None:
    found = from_json(tree)
    assert (to_json(found), found.at) == (tree, 7)
    assert from_json(["call", 1, "lower", tree, tree]) == Call("lower", (found, found), 1)


@pytest.mark.parametrize(
    "wrong",
    [
        *(
            None,
            5,
            "",
            "ab",
            [],
            ["column"],
            {},
            ["other", 1, 2],
            ["constant", 1, "text"],
            ["call", 1],
            ["cast", 1, "a"],
        ),
        *(
            ["cast", 1, "a", 5],
            ["call", 1, "upper", []],
            ["case", 1, [[1]], None],
            ["case", 1, []],
            ["case", 1, 5, None],
        ),
    ],
    ids=str,
)
def test_value_that_is_no_tree_is_refused(wrong: object) -> None:
    for given in (wrong, ["call", 1, "upper", wrong]):
        with pytest.raises(ValueError, match="is not the tree of an expression"):
            from_json(given)
