"""What is changed in a string that holds SQL. It is read as tokens, not parsed: templates have ``$names`` in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

KEYWORDS = re.compile(
    r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|FROM|WHERE|CREATE|ALTER|DROP|AND|OR|NOT|JOIN|ORDER BY|GROUP BY|VALUES|"
    r"ON CONFLICT|COPY|LOCK TABLE|BETWEEN|IS DISTINCT|IS NULL|EXISTS|CAST|COALESCE|UNION|LIMIT|RETURNING)\b|^BEGIN "
)
_TOKEN = re.compile(
    r"(?P<string>'(?:[^']|'')*')|(?P<quoted>\"[^\"]*\")|(?P<part>\$\w+|\{[^{}]*\})|(?P<number>\b\d+\b)"
    r"|(?P<word>\w+)|(?P<operator><=|>=|<>|!=|::|\|\||[-+*/%<>=(),;.])"
)
_SWAPS = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "=": "<>",
    "<>": "=",
    "!=": "=",
    "+": "-",
    "-": "+",
    "ASC": "DESC",
    "DESC": "ASC",
    "FIRST": "LAST",
    "LAST": "FIRST",
    "MIN": "max",
    "MAX": "min",
    "GREATEST": "LEAST",
    "LEAST": "GREATEST",
    "LEAD": "lag",
    "LAG": "lead",
    "TRUE": "FALSE",
    "FALSE": "TRUE",
    "EXCEPT": "INTERSECT",
    "INTERSECT": "EXCEPT",
    "BOOL_AND": "bool_or",
    "BOOL_OR": "bool_and",
}
_TERM_BEGINS = {"WHERE", "ON", "HAVING", "AND", "OR", "WHEN"}
_TERM_ENDS = {
    *("AND", "OR", "GROUP", "ORDER", "LIMIT", "RETURNING", "UNION", "EXCEPT", "INTERSECT", "WHERE", "SET", "FROM"),
    *(
        "JOIN",
        "LEFT",
        "INNER",
        "FULL",
        "CROSS",
        "RIGHT",
        "WINDOW",
        "FOR",
        "ON",
        "HAVING",
        "THEN",
        "WHEN",
        "ELSE",
        "END",
    ),
    *("CREATE", "INSERT", "UPDATE", "DELETE", ";", ",", "USING"),
}
_CLAUSES = {"SELECT", "FROM", "WHERE", "SET", "ON", "HAVING", "VALUES", "ORDER", "GROUP", "WHEN", "LIMIT", "USING"}


@dataclass(frozen=True)
class SqlEdit:
    """``text[start:end]`` becomes ``new``."""

    operator: str
    start: int
    end: int
    new: str


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    depth: int
    clause: str
    """The last keyword that began a clause at this depth."""
    joins_bounds: bool
    """An AND that belongs to BETWEEN."""

    @property
    def word(self) -> str:
        return self.text.upper() if self.kind in ("word", "operator") else ""


@dataclass(frozen=True)
class _Change:
    """``word``, where the words around it are these, becomes ``new``, with ``more`` words behind it."""

    operator: str
    word: str
    new: str
    behind: tuple[str, ...] = ()
    not_behind: tuple[str, ...] = ()
    followed_by: tuple[str, ...] = ()
    more: int = 0


_CHANGES = (
    _Change("not", "NOT", "", behind=("IS",), followed_by=("NULL", "DISTINCT")),
    _Change("not", "NOT", "", not_behind=("IF", "IS"), followed_by=("EXISTS", "IN", "LIKE", "(", "")),
    _Change("not", "EXISTS", "NOT EXISTS", not_behind=("NOT", "IF")),
    _Change("not", "IS", "IS NOT", followed_by=("NULL", "DISTINCT")),
    _Change("join", "LEFT", "", followed_by=("JOIN",)),
    _Change("join", "FULL", "LEFT", followed_by=("JOIN",)),
    _Change("join", "JOIN", "LEFT JOIN", not_behind=("LEFT", "FULL", "CROSS", "RIGHT")),
    _Change("union", "UNION", "UNION", followed_by=("ALL",), more=1),
    _Change("union", "UNION", "UNION ALL"),
    _Change("isolation", "REPEATABLE", "READ COMMITTED", followed_by=("READ",), more=1),
)


@dataclass
class _Level:
    clause: str = ""
    between: bool = field(default=False)


def looks_like_sql(text: str) -> bool:
    """Whether a string is SQL: SQL's keywords are in capitals everywhere in this repository, and messages are not."""
    return bool(KEYWORDS.search(text))


def edits(text: str) -> Iterator[SqlEdit]:
    """Every change of the statement, or of the part of one, in ``text``."""
    tokens = list(_tokens(text))
    for index, token in enumerate(tokens):
        yield from _of_token(tokens, index, token)
    yield from _without_terms(text, tokens)
    yield from _without_clauses(tokens)


def _tokens(text: str) -> Iterator[_Token]:
    levels = [_Level()]
    for match in _TOKEN.finditer(text):
        kind, shown = str(match.lastgroup), match[0]
        if shown == ")" and len(levels) > 1:
            levels.pop()
        level, word = levels[-1], shown.upper() if kind == "word" else shown
        joins = word == "AND" and level.between
        if joins:
            level.between = False
        if word == "BETWEEN":
            level.between = True
        if kind == "word" and word in _CLAUSES:
            level.clause = word
        yield _Token(kind, shown, match.start(), match.end(), len(levels), level.clause, joins)
        if shown == "(":
            levels.append(_Level())


def _of_token(tokens: list[_Token], index: int, token: _Token) -> Iterator[SqlEdit]:
    word, before, after = token.word, _word(tokens, index - 1), _word(tokens, index + 1)
    if token.kind == "number":
        yield SqlEdit("sql number", token.start, token.end, str(int(token.text) + 1))
    elif token.text in ("AND", "OR") and not token.joins_bounds:
        yield SqlEdit("sql and/or", token.start, token.end, "OR" if word == "AND" else "AND")
    elif word == "DISTINCT" and before not in ("IS", "NOT"):
        yield from _without_distinct(tokens, index)
    elif word == "BY" and before == "ORDER":
        yield from _descending(tokens, index)
    elif word in _SWAPS and _is_swapped(tokens, index, token):
        yield SqlEdit("sql swap", token.start, token.end, _SWAPS[word])
    for change in _CHANGES:
        if (
            change.word == word
            and before not in change.not_behind
            and (not change.behind or before in change.behind)
            and (not change.followed_by or after in change.followed_by)
        ):
            last = tokens[index + change.more]
            yield SqlEdit(f"sql {change.operator}", token.start, last.end, change.new)
            return


def _is_swapped(tokens: list[_Token], index: int, token: _Token) -> bool:
    """Whether the word or sign means here what its counterpart is the opposite of."""
    word, before, after = token.word, _word(tokens, index - 1), _word(tokens, index + 1)
    if word in ("+", "-"):
        operands = ("number", "part", "word", "quoted")
        return 0 < index < len(tokens) - 1 and tokens[index + 1].kind in operands
    if word in ("FIRST", "LAST"):
        return before == "NULLS"
    if word in ("MIN", "MAX", "LEAD", "LAG"):
        return after == "("
    return not (word == "=" and token.clause == "SET")


def _word(tokens: list[_Token], index: int) -> str:
    return tokens[index].word if 0 <= index < len(tokens) else ""


def _without_distinct(tokens: list[_Token], index: int) -> Iterator[SqlEdit]:
    last = tokens[index]
    if _word(tokens, index + 1) == "ON" and _word(tokens, index + 2) == "(":
        closing = next((t for t in tokens[index + 3 :] if t.text == ")" and t.depth == last.depth), None)
        last = closing or last
    yield SqlEdit("sql distinct", tokens[index].start, last.end, "")


def _descending(tokens: list[_Token], index: int) -> Iterator[SqlEdit]:
    """The last term of ORDER BY the other way round, where it has no direction."""
    depth, last = tokens[index].depth, None
    for token in tokens[index + 1 :]:
        if token.depth < depth or (token.depth == depth and (token.word in _TERM_ENDS - {","} or token.text == ")")):
            break
        last = token
    if last is not None and last.word not in ("ASC", "DESC", "FIRST", "LAST"):
        yield SqlEdit("sql order", last.end, last.end, " DESC")


def _without_terms(text: str, tokens: list[_Token]) -> Iterator[SqlEdit]:
    """Each term of a condition replaced by what leaves the others as they are."""
    for index, token in enumerate(tokens):
        if token.word not in _TERM_BEGINS or token.joins_bounds or _word(tokens, index + 1) in ("CONFLICT", "COMMIT"):
            continue
        if token.word == "ON" and _word(tokens, index - 1) == "DISTINCT":
            continue
        if token.kind != "word" or (token.text in ("on", "or", "and", "when") and text.islower()):
            continue
        term: list[_Token] = []
        for other in tokens[index + 1 :]:
            if other.depth < token.depth or (other.text == ")" and other.depth == token.depth and not _opened(term)):
                break
            compares = other.word == "FROM" and term and term[-1].word == "DISTINCT"
            if other.depth == token.depth and other.word in _TERM_ENDS and not (other.joins_bounds or compares):
                break
            term.append(other)
        if not term:
            continue
        following = _word(tokens, index + 1 + len(term))
        neutral = "FALSE" if token.word == "OR" or (token.word != "AND" and following == "OR") else "TRUE"
        yield SqlEdit("sql term", term[0].start, term[-1].end, neutral)


def _opened(term: list[_Token]) -> bool:
    return sum(token.text == "(" for token in term) > sum(token.text == ")" for token in term)


_CLAUSE = (
    ("ON", "CONFLICT"),
    ("ORDER", "BY"),
    ("FOR", "UPDATE"),
    ("FOR", "SHARE"),
    ("LIMIT", ""),
    ("OVERRIDING", "SYSTEM"),
)
_CLAUSE_ENDS = {"RETURNING", "LIMIT", "OFFSET", ";", "UNION", "SELECT", "VALUES", "ROWS", "FOR"}


def _without_clauses(tokens: list[_Token]) -> Iterator[SqlEdit]:
    for index, token in enumerate(tokens):
        for first, second in _CLAUSE:
            if token.word != first or (second and _word(tokens, index + 1) != second):
                continue
            clause = [token]
            for other in tokens[index + 1 :]:
                closes = other.text == ")" and not _opened(clause)
                if other.depth < token.depth or (other.depth == token.depth and (other.word in _CLAUSE_ENDS or closes)):
                    break
                clause.append(other)
            yield SqlEdit("sql clause", token.start, clause[-1].end, "")
