"""The parser of the expressions in ``[warehouse.<table>]``: PostgreSQL's tokens and precedence, and its words only.

It runs where the configuration is read, never in a function's package: that has the tree. Operators bind as in
https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-PRECEDENCE
"""

from __future__ import annotations

from collections.abc import Mapping

from lambda_toolkit.pipeline.lambdas.shared.expression.resolve import resolve
from lambda_toolkit.pipeline.lambdas.shared.expression.signatures import ALIASES, CALLED
from lambda_toolkit.pipeline.lambdas.shared.expression.tree import (
    BOOLEAN,
    INTEGER,
    MAX_DEPTH,
    NULL,
    NUMERIC,
    TEXT,
    Call,
    Case,
    Cast,
    Column,
    Constant,
    ExpressionError,
    Node,
    children,
    column_paths,
)
from lambda_toolkit.pipeline.warehouse.expression_tokens import OPERATOR, ExpressionReader, read_tokens, string
from lambda_toolkit.pipeline.warehouse.sql_tokens import RESERVED, Token
from lambda_toolkit.pipeline.warehouse.sql_types import read_type

MAX_LENGTH = 20_000  # characters of an expression

_OR, _AND, _NOT, _IS, _COMPARISON, _RANGE, _OTHER, _SUM, _PRODUCT, _ZONE, _SIGN = range(1, 12)  # levels of precedence
_LEVELS = {
    **dict.fromkeys(("=", "<>", "<", "<=", ">", ">="), _COMPARISON),
    **dict.fromkeys(("||", "->", "->>", "#>>"), _OTHER),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "%"), _PRODUCT),
}
_TYPED_CONSTANTS = ("interval", "date", "timestamp", "timestamptz", "time", "numeric", "text", "boolean", "uuid")
_NOT_EXPRESSIONS = ("select", "array", "exists", "row", "current_date", "current_timestamp", "localtime")
_ARITY = {  # functions whose number of arguments is known here: least, most
    **dict.fromkeys(("upper", "lower", "length", "floor", "ceil", "abs", "sign", "currency_name"), (1, 1)),
    **dict.fromkeys(("strpos", "starts_with", "mod", "left", "right", "nullif", "date_trunc"), (2, 2)),
    **dict.fromkeys(("ltrim", "rtrim", "round", "trunc"), (1, 2)),
    **dict.fromkeys(("lpad", "rpad"), (2, 3)),
    **dict.fromkeys(("split_part", "replace", "decimal"), (3, 3)),
    "substring": (2, 3),
}


_TYPES_OF_NO_COLUMN: Mapping[tuple[str, ...], str] = {}


def parse_expression(text: str) -> Node:
    """The tree of ``text``. Raises ExpressionError that says what is wrong, and where."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text)} characters; {MAX_LENGTH} is the limit", MAX_LENGTH)
    reader = read_tokens(text)
    node = _Parser(reader).expression(0)
    if reader.next.kind != "end":
        reader.refuse(f"expected an operator or the end, found {reader.next.text[:40]}")
    if not column_paths(node):
        resolve(node, _TYPES_OF_NO_COLUMN.__getitem__)  # what is wrong with constants is known without the source
    return node


class _Parser:
    """Precedence climbing."""

    def __init__(self, reader: ExpressionReader) -> None:
        self._reader = reader
        self._depth = 0

    def expression(self, level: int) -> Node:
        """An expression whose operators bind more tightly than ``level``."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._reader.refuse(f"the expression is nested more than {MAX_DEPTH} levels deep")
        node = self._prefixed()
        # Comparisons, BETWEEN, IN, LIKE are not associative: `a < b < c` is an error in PostgreSQL.
        limit = _SIGN + 1
        while True:
            before = self._reader.next
            found = self._level()
            if found is None or found <= level or found >= limit:
                break
            node = self._continued(node, found)
            limit = found if found in (_COMPARISON, _RANGE) else _SIGN + 1
            self._check_depth(node, before)
        if found is not None and found > level and found >= limit:
            self._reader.refuse(f"{before.text.upper()} cannot follow another comparison: use parentheses")
        self._depth -= 1
        return node

    def _check_depth(self, node: Node, at: Token) -> None:
        if _depth(node) > MAX_DEPTH:
            self._reader.refuse(f"more than {MAX_DEPTH} operators follow each other: use concat, IN or parentheses", at)

    def _level(self) -> int | None:
        token = self._reader.next
        word = token.word
        if token.kind == "mark":
            if token.text in _LEVELS:
                return _LEVELS[token.text]
            if token.text[0] in OPERATOR:
                known = " ".join(_LEVELS)
                self._reader.refuse(f"there is no operator {token.text}; known: {known}, AND, OR, NOT, IS, IN, ...")
            return None
        following = self._reader.peek(1).word
        if word == "not" and following in ("in", "like", "ilike", "between"):
            return _RANGE
        if word == "at" and following == "time":
            return _ZONE
        return {
            "or": _OR,
            "and": _AND,
            "is": _IS,
            "isnull": _IS,
            "notnull": _IS,
            **dict.fromkeys(("in", "like", "ilike", "between"), _RANGE),
        }.get(word)

    def _continued(self, left: Node, level: int) -> Node:
        reader = self._reader
        token = reader.take()
        at, word = token.start, token.word
        if level == _IS:
            return self._is(left, token)
        if level == _ZONE:
            reader.expect("time", "zone")
            return Call("at time zone", (self.expression(_ZONE), left), at)
        if word in ("and", "or"):
            right = self.expression(level)
            first = left.arguments if isinstance(left, Call) and left.name == word else (left,)
            return Call(word, (*first, right), at)
        if level == _RANGE:
            negated = word == "not"
            operator = reader.take().word if negated else word
            node = self._range(left, operator, at)
            return Call("not", (node,), at) if negated else node
        return Call(token.text, (left, self.expression(level)), at)

    def _range(self, left: Node, operator: str, at: int) -> Node:
        reader = self._reader
        if operator == "between":
            if reader.has("symmetric"):
                reader.refuse("BETWEEN SYMMETRIC is not in the list")
            reader.has("asymmetric")
            low = self.expression(_RANGE)
            reader.expect("and")
            high = self.expression(_RANGE)
            return Call("and", (Call(">=", (left, low), at), Call("<=", (left, high), at)), at)
        if operator in ("like", "ilike"):
            pattern = self.expression(_RANGE)
            if reader.next.word == "escape":
                reader.refuse("ESCAPE is not in the list: a backslash escapes")
            return Call(operator, (left, pattern), at)
        reader.expect("(")
        if reader.next.word in ("select", "values", "with"):
            reader.refuse("IN takes a list of values, not a query")
        items = self._list()
        return Call("in", (left, *items), at)

    def _list(self) -> tuple[Node, ...]:
        """Expressions separated by commas, to the closing parenthesis."""
        items = [self.expression(0)]
        while self._reader.has(","):
            items.append(self.expression(0))
        self._reader.expect(")")
        return tuple(items)

    def _is(self, left: Node, token: Token) -> Node:
        reader, at = self._reader, token.start
        if token.word != "is":
            node: Node = Call("is null", (left,), at)
            return Call("not", (node,), at) if token.word == "notnull" else node
        negated = reader.has("not")
        if reader.has("distinct", "from"):
            node = Call("is distinct from", (left, self.expression(_IS)), at)
        elif reader.has("null"):
            node = Call("is null", (left,), at)
        elif reader.has("unknown"):
            node = Call("is null", (Call("and", (left, Constant(BOOLEAN, True, at)), at),), at)
        elif reader.next.word in ("true", "false"):
            node = Call(f"is {reader.take().word}", (left,), at)
        else:
            reader.refuse("IS is followed by [NOT] NULL, TRUE, FALSE, UNKNOWN or DISTINCT FROM")
        return Call("not", (node,), at) if negated else node

    def _prefixed(self) -> Node:
        reader = self._reader
        token = reader.next
        if token.word == "not":
            reader.take()
            return Call("not", (self.expression(_NOT),), token.start)
        if token.text in ("-", "+"):
            reader.take()
            operand = self.expression(_SIGN)
            if token.text == "+":
                return Call("positive", (operand,), token.start)
            if isinstance(operand, Constant) and operand.kind in (INTEGER, NUMERIC):
                digits = str(operand.value)
                return Constant(operand.kind, digits[1:] if digits[0] == "-" else f"-{digits}", token.start)
            return Call("negative", (operand,), token.start)
        node = self._primary()
        while reader.next.text == "::":
            at = reader.take().start
            node = Cast(node, read_type(reader).name, at)
        if reader.next.text == "[":
            reader.refuse("elements of arrays are not in the list")
        return node

    def _primary(self) -> Node:
        reader = self._reader
        token = reader.next
        if token.kind == "word":
            return self._word(token)
        if token.kind == "quoted":
            return self._column()
        if token.kind == "number":
            reader.take()
            kind = INTEGER if token.text.isdecimal() else NUMERIC
            return Constant(kind, token.text, token.start)
        if token.kind == "text":
            reader.take()
            return Constant(TEXT, string(token), token.start)
        if not reader.has("("):
            found = "the end" if token.kind == "end" else token.text[:40]
            reader.refuse(f"expected a column, a constant or a function, found {found}")
        node = self.expression(0)
        if reader.next.text == ",":
            reader.refuse("a row of several values is not in the list")
        reader.expect(")")
        return node

    def _word(self, token: Token) -> Node:
        reader, word = self._reader, token.word
        if word in ("true", "false"):
            reader.take()
            return Constant(BOOLEAN, word == "true", token.start)
        if reader.has("null"):
            return Constant(NULL, None, token.start)
        if reader.has("case"):
            return self._case(token)
        if word in _NOT_EXPRESSIONS:
            reader.refuse(f"{word.upper()} is not in the list of docs/expressions.md")
        following = reader.peek(1)
        if following.text == "(":
            return self._call(token)
        if word in _TYPED_CONSTANTS and following.kind == "text":
            kind = read_type(reader).name
            constant = reader.take()
            return Cast(Constant(TEXT, string(constant), constant.start), kind, token.start)
        return self._column()

    def _column(self) -> Node:
        reader = self._reader
        at = reader.next.start
        path = [self._name()]
        while reader.has("."):
            if reader.next.kind == "word" and reader.next.word in RESERVED:
                path.append(reader.take().name)  # after a point PostgreSQL takes every word for a name
            else:
                path.append(self._name())
        return Column(tuple(path), at)

    def _name(self) -> str:
        """A name. PostgreSQL folds capitals, and a plain column of the configuration keeps them: so it has none."""
        token = self._reader.next
        name = self._reader.name("a column")
        if token.kind == "word" and name != token.text:
            says = f'the name {token.text} has capitals: write "{token.text}" in double quotes, or {name}'
            self._reader.refuse(says, token)
        return name

    def _case(self, token: Token) -> Node:
        reader = self._reader
        operand = None if reader.next.word == "when" else self.expression(0)
        if isinstance(operand, Constant) and operand.kind in (TEXT, NULL):
            operand = Cast(operand, "text", operand.at)  # as PostgreSQL does it
        branches = []
        while reader.has("when"):
            at = reader.next.start
            condition = self.expression(0)
            reader.expect("then")
            if operand is not None:
                condition = Call("=", (operand, condition), at)
            branches.append((condition, self.expression(0)))
        if not branches:
            reader.refuse("expected WHEN")
        otherwise = self.expression(0) if reader.has("else") else None
        reader.expect("end")
        return Case(tuple(branches), otherwise, token.start)

    def _call(self, token: Token) -> Node:
        reader = self._reader
        name = ALIASES.get(token.word, token.word) if token.word not in ("mod", "position") else token.word
        if name == "cast":
            reader.take()
            reader.expect("(")
            operand = self.expression(0)
            reader.expect("as")
            node = Cast(operand, read_type(reader).name, token.start)
            reader.expect(")")
            return node
        if name in ("date", "time"):  # the pipeline's own: a cast
            reader.take()
            reader.expect("(")
            found = self._list()
            if len(found) != 1:
                reader.refuse(f"{name} takes a column", token)
            return Cast(found[0], "date" if name == "date" else "time without time zone", token.start)
        known = (*CALLED, "mod", "position")
        if name not in known:
            names = ", ".join(sorted((*known, "cast", "date", "time")))
            reader.refuse(f"there is no function {token.text}; known: {names}")
        reader.take()
        reader.expect("(")
        if token.word == "trim":
            return self._trim(token)
        if name == "position":
            part = self.expression(_RANGE)
            reader.expect("in")
            whole = self.expression(_RANGE)
            reader.expect(")")
            return Call("strpos", (whole, part), token.start)
        arguments = self._arguments(token, name)
        least, most = _ARITY.get(name, (1, 100))
        if not least <= len(arguments) <= most:
            reader.refuse(f"{name} takes {least if least == most else f'{least} to {most}'} values", token)
        return Call("%" if name == "mod" else name, arguments, token.start)

    def _arguments(self, token: Token, name: str) -> tuple[Node, ...]:
        reader = self._reader
        if reader.has(")"):
            return ()
        if reader.next.word in ("distinct", "variadic") or reader.next.text == "*":
            reader.refuse(f"{reader.next.text} is not in the list")
        if name == "extract":
            field = reader.take()
            value = string(field) if field.kind == "text" else field.name
            reader.expect("from")
            operand = self.expression(0)
            reader.expect(")")
            return (Constant(TEXT, value, field.start), operand)
        first = self.expression(0)
        if name == "substring" and (reader.next.word in ("from", "for")):
            start: Node = self.expression(0) if reader.has("from") else Constant(INTEGER, "1", token.start)
            length = (self.expression(0),) if reader.has("for") else ()
            reader.expect(")")
            return (first, start, *length)
        if reader.has(")"):
            return (first,)
        reader.expect(",")
        return (first, *self._list())

    def _trim(self, token: Token) -> Node:
        """``trim([both | leading | trailing] [characters] from text)``, or with values in the order of a function."""
        reader = self._reader
        side = {"leading": "ltrim", "trailing": "rtrim", "both": "trim"}.get(reader.next.word)
        if side:
            reader.take()
        given: tuple[Node, ...] = ()
        if not reader.has("from"):
            given = (self.expression(0),)
            if reader.has(")"):
                return Call(side or "trim", given, token.start)
            if not reader.has("from"):
                reader.expect(",")
                return self._trimmed(side, (*given, *self._list()), token)
        return self._trimmed(side, (*self._list(), *given), token)

    def _trimmed(self, side: str | None, given: tuple[Node, ...], token: Token) -> Node:
        if len(given) > 2:
            self._reader.refuse("trim takes a text, and the characters", token)
        return Call(side or "trim", given, token.start)


def _depth(node: Node) -> int:
    """How many levels the left side of the tree has: only that grows without the parser's own recursion."""
    depth, current = 0, node
    while below := children(current):
        depth, current = depth + 1, below[0]
    return depth
