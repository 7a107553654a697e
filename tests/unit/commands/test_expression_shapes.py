"""Every form of an expression, as a tree with the place of each part: what PostgreSQL would read there."""

from __future__ import annotations

import itertools

import pytest

from lambda_toolkit.pipeline.lambdas.shared.expression.tree import (
    Call,
    Case,
    Cast,
    Column,
    Constant,
    ExpressionError,
    Node,
)
from lambda_toolkit.pipeline.warehouse import expression_tokens
from lambda_toolkit.pipeline.warehouse.expression_parser import parse_expression


def written(node: Node | None) -> str:
    """The tree, each part with its place behind it."""
    match node:
        case Column():
            return f"{'.'.join(node.path)}@{node.at}"
        case Constant():
            return f"{node.kind}:{node.value}@{node.at}"
        case Call():
            return f"({node.name}@{node.at} {' '.join(map(written, node.arguments))})"
        case Cast():
            return f"({node.type}@{node.at} {written(node.operand)})"
        case Case():
            branches = " ".join(f"{written(condition)}={written(value)}" for condition, value in node.branches)
            return f"(case@{node.at} {branches} else {written(node.otherwise)})"
    return "nothing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", "a@0"),
        (" a.b . select", "a.b.select@1"),
        ('"A b"."c"', "A b.c@0"),
        ("7", "integer:7@0"),
        ("1.5", "numeric:1.5@0"),
        ("'x'", "text:x@0"),
        ("TRUE", "boolean:True@0"),
        ("false", "boolean:False@0"),
        ("NULL", "null:None@0"),
        ("-1", "integer:-1@0"),
        ("- -1", "integer:1@0"),
        ("-1.5", "numeric:-1.5@0"),
        ("+1", "(positive@0 integer:1@1)"),
        ("a = -'1'", "(=@2 a@0 (negative@4 text:1@5))"),
        ("-a", "(negative@0 a@1)"),
        ("- a.b * c", "(*@6 (negative@0 a.b@2) c@8)"),
        ("(a)", "a@1"),
        ("(a + b) * c", "(*@8 (+@3 a@1 b@5) c@10)"),
        ("a - b - c", "(-@6 (-@2 a@0 b@4) c@8)"),
        ("a / b % c", "(%@6 (/@2 a@0 b@4) c@8)"),
        ("a + b || c", "(||@6 (+@2 a@0 b@4) c@9)"),
        ("a -> 'b' ->> 'c'", "(->>@9 (->@2 a@0 text:b@5) text:c@13)"),
        ("a #>> 'b'", "(#>>@2 a@0 text:b@6)"),
        ("a or b or c", "(or@7 a@0 b@5 c@10)"),
        ("a or b and c", "(or@2 a@0 (and@7 b@5 c@11))"),
        ("a and b and c and d", "(and@14 a@0 b@6 c@12 d@18)"),
        ("not a and b", "(and@6 (not@0 a@4) b@10)"),
        ("not not a", "(not@0 (not@4 a@8))"),
        ("not a is null", "(not@0 (is null@6 a@4))"),
        *((f"a {sign} b", f"({sign}@2 a@0 b@{3 + len(sign)})") for sign in ("=", "<>", "<", "<=", ">", ">=")),
        ("a != b", "(<>@2 a@0 b@5)"),
        ("a + 1 = b", "(=@6 (+@2 a@0 integer:1@4) b@8)"),
        ("a = b and c", "(and@6 (=@2 a@0 b@4) c@10)"),
        ("a isnull", "(is null@2 a@0)"),
        ("a notnull", "(not@2 (is null@2 a@0))"),
        ("a is null", "(is null@2 a@0)"),
        ("a is not null", "(not@2 (is null@2 a@0))"),
        ("a is true", "(is true@2 a@0)"),
        ("a is not false", "(not@2 (is false@2 a@0))"),
        ("a is unknown", "(is null@2 (and@2 a@0 boolean:True@2))"),
        ("a is distinct from b", "(is distinct from@2 a@0 b@19)"),
        ("a is not distinct from b + 1", "(not@2 (is distinct from@2 a@0 (+@25 b@23 integer:1@27)))"),
        ("a is null is true", "(is true@10 (is null@2 a@0))"),
        ("a in (1)", "(in@2 a@0 integer:1@6)"),
        ("a not in (1, b)", "(not@2 (in@2 a@0 integer:1@10 b@13))"),
        ("a like 'x' || b", "(like@2 a@0 (||@11 text:x@7 b@14))"),
        ("a not ilike 'x'", "(not@2 (ilike@2 a@0 text:x@12))"),
        ("a between 1 and 2", "(and@2 (>=@2 a@0 integer:1@10) (<=@2 a@0 integer:2@16))"),
        ("a not between asymmetric 1 and 2 or b", None),
        ("a at time zone 'UTC'", "(at time zone@2 text:UTC@15 a@0)"),
        ("a at time zone 'UTC' at time zone b", "(at time zone@21 b@34 (at time zone@2 text:UTC@15 a@0))"),
        ("a::int::text", "(text@6 (integer@1 a@0))"),
        ("cast(a as numeric(5,2))", "(numeric(5,2)@0 a@5)"),
        ("date '2026-01-02'", "(date@0 text:2026-01-02@5)"),
        ("timestamptz '2026-01-02'", "(timestamp with time zone@0 text:2026-01-02@12)"),
        ("date(a)", "(date@0 a@5)"),
        ("time(a)", "(time without time zone@0 a@5)"),
        ("date", "date@0"),
        ("case when a then 1 end", "(case@0 a@10=integer:1@17 else nothing)"),
        ("case when a then 1 when b then 2 else c end", "(case@0 a@10=integer:1@17 b@24=integer:2@31 else c@38)"),
        ("case a when 1 then b end", "(case@0 (=@12 a@5 integer:1@12)=b@19 else nothing)"),
        ("case 'a' when b then c end", "(case@0 (=@14 (text@5 text:a@5) b@14)=c@21 else nothing)"),
        ("case null when b then c end", "(case@0 (=@15 (text@5 null:None@5) b@15)=c@22 else nothing)"),
        ("case 1 when b then c end", "(case@0 (=@12 integer:1@5 b@12)=c@19 else nothing)"),
        ("upper(a)", "(upper@0 a@6)"),
        ("ceiling(a)", "(ceil@0 a@8)"),
        ("mod(a, b)", "(%@0 a@4 b@7)"),
        ("position('x' in a)", "(strpos@0 a@16 text:x@9)"),
        ("substring(a, 2)", "(substring@0 a@10 integer:2@13)"),
        ("substring(a, 2, 3)", "(substring@0 a@10 integer:2@13 integer:3@16)"),
        ("substring(a from 2)", "(substring@0 a@10 integer:2@17)"),
        ("substring(a from 2 for 3)", "(substring@0 a@10 integer:2@17 integer:3@23)"),
        ("substring(a for 3)", "(substring@0 a@10 integer:1@0 integer:3@16)"),
        ("extract(year from a)", "(extract@0 text:year@8 a@18)"),
        ("extract('year' from a)", "(extract@0 text:year@8 a@20)"),
        ("trim(a)", "(trim@0 a@5)"),
        ("trim(a, 'x')", "(trim@0 a@5 text:x@8)"),
        ("trim('x' from a)", "(trim@0 a@14 text:x@5)"),
        ("trim(from a)", "(trim@0 a@10)"),
        ("trim(both 'x' from a)", "(trim@0 a@19 text:x@10)"),
        ("trim(trailing from a)", "(rtrim@0 a@19)"),
        ("trim(leading a)", "(ltrim@0 a@13)"),
        ("coalesce(a, b, c)", "(coalesce@0 a@9 b@12 c@15)"),
        ("concat(a, b)", "(concat@0 a@7 b@10)"),
    ],
)
def test_form_is_read_with_the_place_of_each_part(text: str, expected: str | None) -> None:
    found = written(parse_expression(text))
    if expected is None:
        expected = "(or@33 (not@2 (and@2 (>=@2 a@0 integer:1@25) (<=@2 a@0 integer:2@31))) b@36)"
    assert found == expected


@pytest.mark.parametrize(
    ("text", "message", "at"),
    [
        ("a < b < c", "< cannot follow another comparison: use parentheses", 6),
        ("a between 1 and 2 between 3 and 4", "BETWEEN cannot follow another comparison", 18),
        ("a in (1) like b", "LIKE cannot follow another comparison", 9),
        ("a between symmetric 1 and 2", "BETWEEN SYMMETRIC is not in the list", 20),
        ("a like 'x' escape 'y'", "ESCAPE is not in the list", 11),
        ("a in (values (1))", "IN takes a list of values, not a query", 6),
        ("a in (with x)", "IN takes a list of values, not a query", 6),
        ("a is 1", "IS is followed by [NOT] NULL", 5),
        ("a[1]", "elements of arrays are not in the list", 1),
        ("(a, b)", "a row of several values is not in the list", 2),
        ("case a end", "expected WHEN", 7),
        ("case when a then b", "END", 18),
        ("case when a b", "THEN", 12),
        ("date(a, b)", "date takes a column", 0),
        ("time(a, b)", "time takes a column", 0),
        ("count(*)", "there is no function count", 0),
        ("upper(*)", "* is not in the list", 6),
        ("concat(variadic a)", "variadic is not in the list", 7),
        ("upper(distinct a)", "distinct is not in the list", 6),
        ("upper()", "upper takes 1 values", 0),
        ("lpad(a)", "lpad takes 2 to 3 values", 0),
        ("lpad(a, 1, 'x', b)", "lpad takes 2 to 3 values", 0),
        ("substring(a)", "substring takes 2 to 3 values", 0),
        ("split_part(a, b)", "split_part takes 3 values", 0),
        ("nullif(a)", "nullif takes 2 values", 0),
        ("trim(a, b, c)", "trim takes a text, and the characters", 0),
        ("trim('x' from a, b)", "trim takes a text, and the characters", 0),
        ("a at time 'UTC'", "ZONE", 10),
        ("a ~ b", "there is no operator ~", 2),
        ("a.Name", "the name Name has capitals", 2),
        ("exists (a)", "EXISTS is not in the list", 0),
        ("row(1)", "ROW is not in the list", 0),
        ("a b", "expected an operator or the end, found b", 2),
        ("a)", "expected an operator or the end, found )", 1),
        ("a b in (1)", "expected an operator or the end, found b", 2),
        ("a + *", "expected a column, a constant or a function, found *", 4),
        ("a.*", "expected the name of a column, found *", 2),
        ("a + X", "the name X has capitals", 4),
        ("upper(a from 1)", "expected ,, found from", 8),
        ("a = 'x", "the string constant that begins here does not end: ' is missing", 0),
        (
            *(
                "len(a)",
                "there is no function len; known: abs, cast, ceil, coalesce, concat, concat_ws, currency_name, date",
            ),
            0,
        ),
        ("", "found the end", 0),
        ("case(a)", None, 0),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str, message: str | None, at: int) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    if message is not None:
        assert message in str(refused.value)
        assert refused.value.at == at


def test_length_and_depth_have_limits() -> None:
    assert parse_expression("a" + " " * 19_999) == Column(("a",), 0)
    with pytest.raises(ExpressionError, match="has 20001 characters"):
        parse_expression("a" + " " * 20_000)
    assert parse_expression("(" * 99 + "a" + ")" * 99) == Column(("a",), 99)
    with pytest.raises(ExpressionError, match="nested more than 100 levels"):
        parse_expression("(" * 100 + "a" + ")" * 100)
    assert isinstance(parse_expression(" + ".join("a" * 101)), Call)
    with pytest.raises(ExpressionError, match="more than 100 operators follow each other"):
        parse_expression(" + ".join("a" * 102))
    many = "concat(" + "a, " * 60  # those beside it add nothing to the depth
    assert isinstance(parse_expression(many + "(" * 98 + "a" + ")" * 99), Call)
    with pytest.raises(ExpressionError, match="nested more than 100 levels"):
        parse_expression(many + "(" * 99 + "a" + ")" * 100)


LEVELS = ("or", "and", "= <> < <= > >=", "like ilike", "|| -> ->> #>>", "+ -", "* / %")


def test_operator_binds_as_in_the_documentation_of_postgresql() -> None:
    levels = {name: level for level, names in enumerate(LEVELS) for name in names.split()}
    for one, other in itertools.product(levels, repeat=2):
        text, first, second = f"a {one} b {other} c", 2, 5 + len(one)
        tighter = levels[one] >= levels[other]
        if levels[one] == levels[other] in (2, 3):
            with pytest.raises(ExpressionError, match="cannot follow another comparison"):
                parse_expression(text)
        elif one == other in ("or", "and"):
            assert (
                written(parse_expression(text)) == f"({other}@{second} a@0 b@{first + len(one) + 1} c@{len(text) - 1})"
            )
        else:
            a, b, c = "a@0", f"b@{first + len(one) + 1}", f"c@{len(text) - 1}"
            left, right = f"({one}@{first} {a} {b})", f"({other}@{second} {b} {c})"
            expected = f"({other}@{second} {left} {c})" if tighter else f"({one}@{first} {a} {right})"
            assert written(parse_expression(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("(#)", "x in (#)", "x in (a, #)", "case # when a then b end", "case when # then a end", "date(#)"),
        *("case when a then # end", "case when a then b else # end", "case a when # then b end", "cast(# as text)"),
        *("upper(#)", "concat(a, #)", "concat(a, b, #)", "extract(year from #)", "substring(a from #)"),
        *("substring(# from 1)", "substring(a for #)", "trim(#)", "trim(leading # from a)", "trim(# from a)"),
        *("trim(from #)", "trim(a from #)", "trim(a, #)", "substring(a from 1 for #)", "time(#)"),
    ],
)
def test_whole_expression_may_be_inside(text: str) -> None:
    """Its operators bind least: what is around it ends it."""
    found = written(parse_expression(text.replace("#", "p or q"))).replace("p@", "@p").replace("q@", "@q")
    place = text.index("#")
    assert f"(or@{place + 2} @p{place} @q{place + 5})" in found


ARITY = {
    (1, 1): "upper lower length floor ceil abs sign currency_name",
    (2, 2): "strpos starts_with mod left right nullif date_trunc",
    (1, 2): "trim ltrim rtrim round trunc",
    (2, 3): "lpad rpad substring",
    (3, 3): "split_part replace decimal",
    (1, 9): "concat coalesce greatest least",
}


@pytest.mark.parametrize(
    ("least", "most", "name"), [(*k, name) for k, names in ARITY.items() for name in names.split()]
)
def test_function_takes_its_number_of_values(least: int, most: int, name: str) -> None:
    for count in range(5):
        text = f"{name}({', '.join('abcd'[:count])})"
        if least <= count <= most:
            found = parse_expression(text)
            assert isinstance(found, Call) and len(found.arguments) == count
        else:
            says = {"trim": "trim takes a text, and|expected a column"}.get(name, f"{name} takes {least}")
            with pytest.raises(ExpressionError, match=f"^({says})"):
                parse_expression(text)


@pytest.mark.parametrize(
    ("kind", "shown", "text"),
    [
        *(("interval", "interval", "1 day"), ("date", "date", "2026-01-02"), ("numeric", "numeric", "1.5")),
        *(
            ("timestamp", "timestamp without time zone", "2026-01-02"),
            ("time(3)", None, "1:2"),
            ("uuid", "uuid", "0" * 32),
        ),
        *(("timestamptz", "timestamp with time zone", "2026-01-02"), ("time", "time without time zone", "01:02")),
        *(("text", "text", "x"), ("boolean", "boolean", "true"), ("integer", None, "1"), ("jsonb", None, "1")),
    ],
)
def test_constant_of_a_type_is_a_cast(kind: str, shown: str | None, text: str) -> None:
    if shown is None:
        with pytest.raises(ExpressionError):
            parse_expression(f"a = {kind} '{text}'")
    else:
        cast = Cast(Constant("text", text, len(kind) + 5), shown, 4)
        assert parse_expression(f"a = {kind} '{text}'") == Call("=", (Column(("a",), 0), cast), 2)


@pytest.mark.parametrize("word", ["select", "array", "exists", "row", "current_date", "current_timestamp", "localtime"])
def test_word_that_is_no_expression_is_refused(word: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        parse_expression(f"a = {word}")
    assert str(refused.value) == f"{word.upper()} is not in the list of docs/expressions.md (at character 5)"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("'it''s'", "it's"), ("''", ""), ("E'it''s'", "it's"), ("$$a'$b$$", "a'$b"), ("$q$a$$b$q$", "a$$b")),
        *((f"e'\\{letter}'", found) for letter, found in zip("bfnrtq\\'", "\b\f\n\r\tq\\'", strict=True)),
        *(("e'\\101\\1013'", "AA3"), ("e'\\7'", "\7"), ("e'\\177'", "\x7f"), ("e'\\x41\\x4g'", "A\4g")),
        *(("e'\\x7F'", "\x7f"), ("e'\\u00e9'", "é"), ("e'\\uD7FF\\ue000'", "\ud7ff\ue000")),
        *(("e'\\U0001F45C\\U0010ffff'", "👜\U0010ffff"), ("e'\\\n'", "\n")),
        *((f"e'{text}'", None) for text in ("\\200", "\\x80", "\\uD800", "\\udfff", "\\U00110000", "\\0", "\\u0000")),
        *((f"{prefix}'1'", None) for prefix in ("b", "X", "n", "U&")),
    ],
)
def test_text_is_that_of_its_escapes(text: str, value: str | None) -> None:
    if value is not None:
        assert parse_expression(text) == Constant("text", value, 0)
        return
    with pytest.raises(ExpressionError, match="is no character|beyond ASCII|the character 0|text in single quotes"):
        parse_expression(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            ("a*-b", "(*@1 a@0 (negative@2 b@3))"),
            ("a<-1", "(<@1 a@0 integer:-1@2)"),
            ("a+-+b", "(+@1 a@0 (negative@2 (positive@3 b@4)))"),
        ),
        *(
            ("a<>-1", "(<>@1 a@0 integer:-1@3)"),
            ("a!=b", "(<>@1 a@0 b@3)"),
            ("a>=+1", "(>=@1 a@0 (positive@3 integer:1@4))"),
        ),
        *(
            ("a/-1", "(/@1 a@0 integer:-1@2)"),
            ("a->'b'", "(->@1 a@0 text:b@3)"),
            ("a - -b", "(-@2 a@0 (negative@4 b@5))"),
        ),
        *(
            (f"a{sign}b", f"there is no operator {sign};")
            for sign in ("||-", "%-", "!=-", "@-", "#>>+", "^", "&-", "~+")
        ),
        *((f"a{sign}b", f"there is no operator {sign};") for sign in ("`-", "?-", "=>", "!", "@", "&", "?", "<=>")),
    ],
)
def test_operator_is_the_longest_that_postgresql_takes(text: str, expected: str) -> None:
    if expected.startswith("("):
        assert written(parse_expression(text)) == expected
        return
    with pytest.raises(ExpressionError) as refused:
        parse_expression(text)
    assert str(refused.value).startswith(expected) and refused.value.at == 1


def test_defect_of_the_reader_is_no_mistake_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expression_tokens, "tokens", lambda text: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        parse_expression("a")
