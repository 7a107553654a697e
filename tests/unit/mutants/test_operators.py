"""What is changed in Python and in SQL, and how a mutant is identified."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.mutant import ROOT, source_files
from tests.mutants.python_operators import mutants
from tests.mutants.sql_operators import edits, looks_like_sql


def changed(statement: str, operator: str = "") -> list[str]:
    """The statements that the operators make."""
    return [
        " ".join((statement[: edit.start] + edit.new + statement[edit.end :]).split())
        for edit in edits(statement)
        if edit.operator.startswith(f"sql {operator}")
    ]


def changes(code: str, operator: str = "") -> list[str]:
    """The texts of the mutants of a module."""
    return [mutant.apply(code) for mutant in mutants("lambdas/some.py", code) if mutant.operator.startswith(operator)]


@pytest.mark.parametrize(
    ("statement", "operator", "mutated"),
    [
        ("DELETE FROM t WHERE a = $a AND b < 3", "and/or", ["DELETE FROM t WHERE a = $a OR b < 3"]),
        (
            "DELETE FROM t WHERE a = $a AND b < 3",
            "term",
            ["DELETE FROM t WHERE TRUE AND b < 3", "DELETE FROM t WHERE a = $a AND TRUE"],
        ),
        (
            "DELETE FROM t WHERE a = $a AND b < 3",
            "swap",
            ["DELETE FROM t WHERE a <> $a AND b < 3", "DELETE FROM t WHERE a = $a AND b <= 3"],
        ),
        ("UPDATE t SET a = 1 WHERE b", "swap", []),
        ("SELECT x WHERE a OR (b)", "term", ["SELECT x WHERE FALSE OR (b)", "SELECT x WHERE a OR FALSE"]),
        ("SELECT x WHERE a BETWEEN 1 AND 2 AND c", "and/or", ["SELECT x WHERE a BETWEEN 1 AND 2 OR c"]),
        ("SELECT x WHERE NOT EXISTS (SELECT)", "not", ["SELECT x WHERE EXISTS (SELECT)"]),
        ("SELECT x WHERE a IS NOT NULL", "not", ["SELECT x WHERE a IS NULL"]),
        ("SELECT x WHERE ROW(a) IS DISTINCT FROM b", "not", ["SELECT x WHERE ROW(a) IS NOT DISTINCT FROM b"]),
        ("SELECT x WHERE ROW(a) IS DISTINCT FROM b", "term", ["SELECT x WHERE TRUE"]),
        ("SELECT DISTINCT ON (a) b FROM t", "distinct", ["SELECT b FROM t"]),
        ("SELECT a FROM t LEFT JOIN u ON u.a = t.a", "join", ["SELECT a FROM t JOIN u ON u.a = t.a"]),
        ("SELECT a FROM t JOIN u ON u.a = t.a", "join", ["SELECT a FROM t LEFT JOIN u ON u.a = t.a"]),
        ("SELECT a FROM t ORDER BY a, b", "order", ["SELECT a FROM t ORDER BY a, b DESC"]),
        ("ORDER BY a DESC NULLS LAST", "swap", ["ORDER BY a ASC NULLS LAST", "ORDER BY a DESC NULLS FIRST"]),
        ("SELECT min(a), max(b)", "swap", ["SELECT max(a), max(b)", "SELECT min(a), min(b)"]),
        ("INSERT INTO t SELECT u ON CONFLICT DO NOTHING", "clause", ["INSERT INTO t SELECT u"]),
        (
            "(SELECT a ORDER BY a LIMIT 1)",
            "clause",
            ["(SELECT a LIMIT 1)", "(SELECT a ORDER BY a )"],
        ),
        ("BEGIN ISOLATION LEVEL REPEATABLE READ", "isolation", ["BEGIN ISOLATION LEVEL READ COMMITTED"]),
        ("SELECT a UNION SELECT b", "union", ["SELECT a UNION ALL SELECT b"]),
        ("SELECT 'a = 1 AND b'", "", []),
    ],
)
def test_sql_is_changed(statement: str, operator: str, mutated: list[str]) -> None:
    assert changed(statement, operator) == mutated


def test_messages_are_no_sql() -> None:
    assert not looks_like_sql("rows from the table and where they are")
    assert looks_like_sql("AND $key IS NULL")


@pytest.mark.parametrize(
    ("code", "operator", "mutated"),
    [
        ("x = a < b", "comparison", ["x = a <= b"]),
        ("x = a not in b", "comparison", ["x = a in b"]),
        ("x = (a) and (  # and\n b)", "and/or", ["x = (a) or (  # and\n b)"]),
        ("x = not a", "not", ["x = (a)"]),
        ("x = f(1)", "constant", ["x = f(2)"]),
        ("def f(a=True):\n    pass", "constant", ["def f(a=False):\n    pass"]),
        ("def f():\n    return 1", "return", ["def f():\n    return None"]),
        ("def f():\n    'Doc.'\n    g(\n1)", "statement", ["def f():\n    'Doc.'\n    pass"]),
        ("if a:\n    b = 1", "condition", ["if False:\n    b = 1", "if True:\n    b = 1"]),
        ("x = [a for a in b if c]", "condition", ["x = [a for a in b if True]"]),
        ("f(a, b, c=1)", "arguments", ["f(b, a, c=1)"]),
        ("f(a, b=1, c=2)", "argument removed", ["f(a, c=2)", "f(a, b=1, )"]),
        ("x = {'a': 1, **b}", "entry", ["x = {**b}", "x = {'a': 1, }"]),
        ("for a in b:\n    break", "break", ["for a in b:\n    continue"]),
        (
            "try:\n    a = 1\nexcept E:\n    b = 1",
            "exception widened",
            ["try:\n    a = 1\nexcept Exception:\n    b = 1"],
        ),
        ("x = 'é' + f(b='key')", "string", ["x = 'XXé' + f(b='key')", "x = 'é' + f(b='XXkey')"]),
        ("x = f'a{b if c else d}'", "condition", ["x = f'a{b if False else d}'", "x = f'a{b if True else d}'"]),
        ("x = min(a)", "another", ["x = max(a)"]),
        ('x = """SELECT a\nWHERE b > $c"""', "sql swap", ['x = """SELECT a\nWHERE b >= $c"""']),
        ("x: 'int | None' = a", "", []),
    ],
)
def test_python_is_changed(code: str, operator: str, mutated: list[str]) -> None:
    assert changes(code, operator) == mutated


def test_ids_survive_shifted_lines() -> None:
    code = "def f(a):\n    return a < 1\n"
    moved = f'"""More."""\n\nimport os\n\n\n{code}'
    assert [m.id for m in mutants("a.py", code)] == [m.id for m in mutants("a.py", moved)]


def test_wording_does_not_matter_and_data_does() -> None:
    code = "def f(a):\n    if a:\n        raise E(f'no {a}', 'x')\n    logger.info('x')\n    return g(Key=a)\n"
    reasons = {(m.operator, m.old): m.reason for m in mutants("lambdas/some.py", code)}
    assert reasons["statement deleted", "raise E(f'no {a}', 'x')"] is None
    assert reasons["string", "f'no {a}'"] == "wording"
    assert reasons["statement deleted", "logger.info('x')"] == "wording"
    assert reasons["argument removed", "Key=a"] is None


def test_what_is_put_into_a_message_does_not_matter() -> None:
    code = """
def f(a):
    why = f'it is {"one" if a else "two"} of the many'
    error = SomeError(f'no {a and b}', {'code': 1})
    kind = 'timestamp with time zone'
    return DataError(a, f'x{a or b}')
"""
    reasons = {(m.operator, m.old): m.reason for m in mutants("lambdas/some.py", code)}
    wording = [change for change, reason in reasons.items() if reason == "wording"]
    assert {old for operator, old in wording if operator == "string"} >= {'"one"', '"two"'}
    assert ("and/or", "and") in wording, "of an error that is made before it is raised"
    for counted in (("and/or", "or"), ("string", "'code'"), ("string", "'timestamp with time zone'")):
        assert counted not in wording
        assert counted in reasons


def test_every_mutant_of_a_module_compiles() -> None:
    for file in (
        "lambdas/load/warehouse/control/pending.py",
        "lambda_toolkit/resources/account/role.py",
        "lambdas/load/loading.py",
    ):
        text = (ROOT / file).read_text(encoding="utf-8")
        found = mutants(file, text)
        assert len(found) > 30
        assert len({m.id for m in found}) == len(found)
        for mutant in found:
            ast.parse(mutant.apply(text))


def test_each_file_is_mutated_once() -> None:
    files = list(source_files())
    assert "lambdas/load/loading.py" in files
    assert "lambda_script.py" in files
    assert not any(file.startswith("lambda_toolkit/pipeline/lambdas/") for file in files)
