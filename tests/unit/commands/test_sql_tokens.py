"""The tokens of SQL: where each begins, what it is, and what PostgreSQL would not read, with its line."""

from __future__ import annotations

import pytest

from lambda_toolkit.pipeline.lambdas.shared.errors import WarehouseError
from lambda_toolkit.pipeline.warehouse.sql_tokens import Reader, tokens


def read(text: str) -> str:
    """The tokens but for the end, each with its kind and the place that it has."""
    *found, end = tokens(text)
    assert (end.kind, end.text, end.start, end.word) == ("end", "", len(text), "")
    return " ".join(f"{token.kind}:{token.text}@{token.start}" for token in found)


EACH = "+*/<>=~!@#%^&|`?.:;,()[]"
READ = {
    **dict.fromkeys(("", " \t\r\n\f", "-- a\r\n--b"), ""),
    "/**/a": "word:a@4",
    "a/* /* */ 'x */b-": "word:a@0 word:b@15 mark:-@16",
    "--\rb--c\nd": "word:b@3 word:d@8",
    "\ufeffa": "word:a@1",
    "éa_1$ $a$b$a$": "word:éa_1$@0 text:$a$b$a$@6",
    "$$a$$$é$b$é$": "text:$$a$$@0 text:$é$b$é$@5",
    "1 1. .5 1.5 1e5 1.E-3,": "number:1@0 number:1.@2 number:.5@5 number:1.5@8 number:1e5@12 number:1.E-3@16 mark:,@21",
    "'a''b' ''": "text:'a''b'@0 text:''@7",
    "'a\\' b": "text:'a\\'@0 word:b@5",
    "E'\\''": "text:E'\\''@0",
    "e'a\nb'\n, 'c'": "text:e'a\nb'@0 mark:,@7 text:'c'@9",
    "'a' 'b'": "text:'a'@0 text:'b'@4",
    **{f"{prefix}'1'": f"text:{prefix}'1'@0" for prefix in ("b", "B", "x", "X", "n", "N", "u&", "U&", "E")},
    '"a""b" "u&"': 'quoted:"a""b"@0 quoted:"u&"@7',
    "a::b": "word:a@0 mark:::@1 word:b@3",
    EACH: " ".join(f"mark:{sign}@{at}" for at, sign in enumerate(EACH)),
}


@pytest.mark.parametrize(("text", "expected"), READ.items())
def test_token_is_the_longest_that_postgresql_takes(text: str, expected: str) -> None:
    assert read(text) == expected


UNSEEN = "\x80 \xa0 \xad \u1680 \u180e \u2000 \u200f \u2028 \u202f \u205f \u206f \u3000 \ufeff"


REFUSED = {
    **{f"b{char}": f"contains U+{ord(char):04X}, which looks like a space: remove it" for char in UNSEEN.split(" ")},
    **{f"{number}a": f"'{number}a': a space is missing after the number" for number in ("1", "1.5", "1.", "2e5")},
    **dict.fromkeys(("'a'\n 'b'", "e'a' \r'b'"), "write the string constant in one piece, not continued in a new line"),
    **dict.fromkeys(('u&"a"', 'U&"a"', 'u&"a'), "write the name itself in double quotes, without U& and its escapes"),
    **dict.fromkeys(("'a", "'a''a"), "the string constant that begins here does not end: ' is missing"),
    '"a': 'the name that begins here does not end: " is missing',
    **dict.fromkeys(("$1", "$$a$"), "this is no constant: a parameter, or a dollar-quoted string that does not end"),
    "\\d a": "commands of psql are not SQL: remove the line",
    **{f"abc{quote}x": f"a space is missing before the quote: {f'abc{quote}x'!r}" for quote in "'\""},
    **{char: f"unexpected character {char!r}" for char in ("{", "}", "\0", "\x7f")},
    **dict.fromkeys(("/*", "/* /* */"), "the comment that begins here does not end: */ is missing"),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.items())
def test_what_is_no_token_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        read(f"a /* \n */ 'b\n',\n {text}")
    assert str(refused.value).startswith("line 4: ") and str(refused.value).endswith(f"{says}.")


def reader(text: str) -> Reader:
    return Reader(list(tokens(text)), "here")


def test_keyword_is_no_quoted_name_and_no_text() -> None:
    found = reader("Not NULL \"null\" 'null' null")
    assert not found.has("not", "x") and found.has("not", "null")
    assert not found.has("null") and found.take().name == "null"
    assert not found.has("null") and found.take().kind == "text"
    assert (
        found.has("null") and found.next.kind == found.take().kind == found.peek(1).kind == found.peek(9).kind == "end"
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        *(("", "expected the name of a thing, found its end"), ("7", "expected the name of a thing, found 7")),
        ("Order", 'Order is a reserved word: write "order" in double quotes, or use another name'),
        *(('""', "the name of a thing is empty"), ("'a'", "expected the name of a thing, found 'a'")),
        ("é" * 32, f"the name {'é' * 32} is longer than 63 bytes: PostgreSQL would cut it"),
    ],
)
def test_name_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        reader(text).name("a thing")
    assert str(refused.value) == f"line 1: here: {says}."


def test_name_is_folded_unless_it_is_quoted() -> None:
    names = {
        "ABCÉz": "abcÉz",
        '"ABC"': "ABC",
        '"a""b"': 'a"b',
        '"order"': "order",
        "x" * 63: "x" * 63,
        "é" * 31: "é" * 31,
    }
    assert {text: reader(text).name("a name") for text in names} == names
    assert reader("(a, B)").names("a name") == ("a", "b")


@pytest.mark.parametrize("text", ["(", "(a (b) ')' \")\""])
def test_parenthesis_that_is_not_closed_is_refused(text: str) -> None:
    with pytest.raises(WarehouseError, match=r"^line 2: here: the parenthesis that opens here is not closed\.$"):
        reader(f"\n{text}\n").skip_parentheses()


def test_number_is_written_with_the_digits_of_ascii() -> None:
    assert (reader("-0").number("it", 0, 5), reader("-7").number("it", -7, 5), reader("5").number("it", 0, 5)) == (
        0,
        -7,
        5,
    )
    for text in ("٣", "6", "- 8", "1.0", "'1'", ""):
        with pytest.raises(WarehouseError, match=r"^line 1: here: it must be a whole number from -7 to 5, not "):
            reader(text).number("it", -7, 5)
