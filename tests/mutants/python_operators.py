"""What is changed in Python: every node of the syntax tree that has another meaning when it is written differently."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence

from tests.mutants import sql_operators
from tests.mutants.importance import Place, reason
from tests.mutants.mutant import Mutant, Text
from tests.mutants.syntax import (
    ARITHMETIC,
    COMPARISONS,
    NOT_SWAPPED,
    OTHER_NAMES,
    are_words,
    call_label,
    defined,
    holds_text,
    is_text,
    last_name,
    makes_error,
    spreads,
)

_MAY_NOT_PARSE = {"argument removed", "entry removed", "element removed", "arguments swapped"}
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_UNCHANGED_DECORATED = {"overload", "abstractmethod"}
_QUOTE = re.compile(r"""[a-zA-Z]{0,2}(?:\"{3}|'{3}|"|')""")
_STRING = re.compile(
    r"""(?P<prefix>[a-zA-Z]{0,2})(?P<quote>\"{3}|'{3}|"|')(?P<body>(?:\\.|(?!(?P=quote)).)*)(?P=quote)""", re.DOTALL
)


def mutants(file: str, text: str) -> list[Mutant]:
    """Every mutant of a file that parses, in the order of its text."""
    finder, tree = _Finder(file, Text(text)), ast.parse(text)
    finder.visit(tree)
    statements = [(finder.text.offset(each.lineno, 0), finder.text.end(each)) for each in tree.body]
    found = sorted(set(finder.found), key=lambda each: (each[0], each[1], each[3], each[2]))
    numbers: Counter[tuple[str, str]] = Counter()
    result = []
    for start, end, new, operator, place in found:
        if text[start:end] == new:
            continue
        if operator in _MAY_NOT_PARSE:
            first, last = next(span for span in statements if start < span[1])
            if not _parses(text[first:start] + new + text[end:last]):
                continue
        numbers[place.scope, operator] += 1
        result.append(
            Mutant(
                file,
                place.scope,
                operator,
                numbers[place.scope, operator],
                start,
                end,
                finder.text.line_at(start),
                text[start:end],
                new,
                reason(file, operator, text[start:end], place),
                place.names,
            )
        )
    return result


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


class _Finder(ast.NodeVisitor):
    """Walks a module; ``found`` has each change as (start, end, new text, operator, place)."""

    def __init__(self, file: str, text: Text) -> None:
        self.file = file
        self.text = text
        self.found: list[tuple[int, int, str, str, Place]] = []
        self._scopes: list[str] = []
        self._labels: list[str] = []
        self._names: tuple[str, ...] = ()

    def _add(self, operator: str, start: int, end: int, new: str) -> None:
        scope = ".".join(self._scopes) or "<module>"
        self.found.append((start, end, new, operator, Place(scope, tuple(self._labels), self._names)))

    def _replace(self, operator: str, node: ast.AST, new: str) -> None:
        self._add(operator, self.text.start(node), self.text.end(node), new)

    def _labelled(self, label: str, nodes: Sequence[ast.AST]) -> None:
        self._labels.append(label)
        for node in nodes:
            self.visit(node)
        self._labels.pop()

    # Statements.

    def visit_Module(self, node: ast.Module) -> None:
        self._block(node.body)

    def _block(self, body: Sequence[ast.stmt]) -> None:
        outside = not any(scope[0].islower() or scope[0] == "_" for scope in self._scopes[-1:]) or not self._scopes
        for index, statement in enumerate(body):
            if index == 0 and is_text(statement):
                continue
            if outside and not isinstance(statement, DEFINITIONS):
                self._names = tuple(defined(statement)) or self._names
            self.visit(statement)
            if outside:
                self._names = ()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._function(node)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        decorators = {last_name(decorator) for decorator in node.decorator_list}
        if decorators & _UNCHANGED_DECORATED:
            return
        self._scopes.append(node.name)
        self._names, names = (node.name,), self._names
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self._labelled("default", [default])
        self._names = ()
        self._statements(node.body)
        self._names = names
        self._scopes.pop()

    def _statements(self, body: Sequence[ast.stmt]) -> None:
        for index, statement in enumerate(body):
            if not (index == 0 and is_text(statement)):
                self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if any(last_name(base) == "Protocol" for base in node.bases):
            return
        self._scopes.append(node.name)
        for statement in node.body:
            if is_text(statement):
                continue
            if not isinstance(statement, DEFINITIONS):
                self._names = (node.name, *defined(statement))
            self.visit(statement)
            self._names = ()
        self._scopes.pop()

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Import(self, node: ast.Import) -> None:
        """Nothing."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Nothing."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Nothing: for the type checker."""

    def visit_Expr(self, node: ast.Expr) -> None:
        if is_text(node):
            return
        label = call_label(node.value)
        if label:
            self._labels.append(label)
        self._replace("statement deleted", node, "pass")
        self.generic_visit(node)
        if label:
            self._labels.pop()

    def visit_Assign(self, node: ast.Assign) -> None:
        if any(isinstance(target, ast.Subscript | ast.Attribute) for target in node.targets):
            self._replace("statement deleted", node, "pass")
        self.visit(node.value)
        for target in node.targets:
            if isinstance(target, ast.Subscript):
                self.visit(target.slice)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace("statement deleted", node, "pass")
        self.visit(node.value)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace("statement deleted", node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        if isinstance(node.exc, ast.Call) and last_name(node.exc.func) == "AssertionError":
            return
        self._replace("statement deleted", node, "pass")
        if isinstance(node.exc, ast.Call):
            self._error(node.exc)

    def _error(self, node: ast.Call) -> None:
        for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
            self._labelled("message" if holds_text(argument) else "raised", [argument])

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is None:
            return
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            self._replace("return value dropped", node, "return None")
        self.visit(node.value)

    def visit_Break(self, node: ast.Break) -> None:
        self._replace("break/continue", node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace("break/continue", node, "break")

    def visit_If(self, node: ast.If) -> None:
        if last_name(node.test) == "TYPE_CHECKING":
            return
        self._condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._condition(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        if not isinstance(node.test, ast.Constant):
            self._replace("condition false", node.test, "False")
        self.generic_visit(node)

    def _condition(self, test: ast.expr) -> None:
        self._replace("condition true", test, "True")
        self._replace("condition false", test, "False")

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._replace("condition true", condition, "True")
        self.generic_visit(node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if node.type is not None:
            if last_name(node.type) not in ("Exception", "BaseException"):
                self._replace("exception widened", node.type, "Exception")
            self._replace("exception not caught", node.type, "()")
            if isinstance(node.type, ast.Tuple):
                self._elements(node.type.elts)
        self._statements(node.body)

    # Expressions.

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
            pattern, new = COMPARISONS[type(operator)]
            word = rf"\b{pattern}\b" if pattern[0].isalpha() else re.escape(pattern)
            self._between("comparison", left, right, word, new)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between("and/or", left, right, rf"\b{old}\b", new)
        neutral = "True" if old == "and" else "False"
        for value in node.values:
            self._replace("operand removed", value, neutral)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace("not", node, f"({self.text.of(node.operand)})")
        elif isinstance(node.op, ast.USub):
            self._replace("arithmetic", node, self.text.of(node.operand))
        if not isinstance(node.operand, ast.Constant):
            self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in ARITHMETIC:
            old, new = ARITHMETIC[type(node.op)]
            self._between("arithmetic", node.left, node.right, re.escape(old), new)
        self.generic_visit(node)

    def _between(self, operator: str, left: ast.expr, right: ast.expr, pattern: str, new: str) -> None:
        begin, end = self.text.end(left), self.text.start(right)
        code = re.sub(r"#[^\n]*", lambda comment: " " * len(comment[0]), self.text.text[begin:end])
        match = re.search(pattern, code)
        if match:
            self._add(operator, begin + match.start(), begin + match.end(), new)

    def visit_Call(self, node: ast.Call) -> None:
        if makes_error(node):  # to be raised elsewhere
            self._error(node)
            return
        label = call_label(node)
        if label:
            self._labels.append(label)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in OTHER_NAMES and not (name == "sorted" and node.keywords):
            end = self.text.end(node.func)
            self._add("another function", end - len(name), end, OTHER_NAMES[name])
        if len(node.args) > 1 and name not in NOT_SWAPPED and not spreads(node.args[:2]):
            first, second = node.args[:2]
            middle = self.text.text[self.text.end(first) : self.text.start(second)]
            swapped = self.text.of(second) + middle + self.text.of(first)
            self._add("arguments swapped", self.text.start(first), self.text.end(second), swapped)
        self._pieces("argument removed", [(self.text.start(k), self.text.end(k)) for k in node.keywords])
        self.visit(node.func)
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            self._labelled(f"keyword:{keyword.arg}", [keyword.value])
        if label:
            self._labels.pop()

    def visit_Dict(self, node: ast.Dict) -> None:
        pieces = []
        for key, value in zip(node.keys, node.values, strict=True):
            begin = self.text.start(key) if key else self.text.text.rindex("**", 0, self.text.start(value))
            pieces.append((begin, self.text.end(value)))
        self._pieces("entry removed", pieces)
        self.generic_visit(node)

    def visit_List(self, node: ast.List) -> None:
        self._elements(node.elts)
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        self._elements(node.elts)
        self.generic_visit(node)

    def visit_Tuple(self, node: ast.Tuple) -> None:
        if len(node.elts) > 1 and all(isinstance(item, ast.Constant | ast.Starred) for item in node.elts):
            self._elements(node.elts)
        self.generic_visit(node)

    def _elements(self, items: Sequence[ast.expr]) -> None:
        self._pieces("element removed", [(self.text.start(item), self.text.end(item)) for item in items])

    def _pieces(self, operator: str, pieces: Sequence[tuple[int, int]]) -> None:
        """Each piece removed, with the comma behind it."""
        for index, (start, end) in enumerate(pieces):
            if index + 1 < len(pieces):
                self._add(operator, start, pieces[index + 1][0], "")
            else:
                comma = re.match(r"\s*,", self.text.text[end:])
                self._add(operator, start, end + (len(comma[0]) if comma else 0), "")

    def visit_Subscript(self, node: ast.Subscript) -> None:
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        text = "".join(str(v.value) for v in node.values if isinstance(v, ast.Constant))
        self._string(node, text)
        placed = [v.value for v in node.values if isinstance(v, ast.FormattedValue) and self._is_placed(v.value)]
        is_message = are_words(text) and not sql_operators.looks_like_sql(text)
        self._labelled("message" if is_message else "placed", placed)

    def _is_placed(self, node: ast.expr) -> bool:
        """Before Python 3.12 the positions inside of an f-string may be wrong."""
        try:
            return ast.dump(ast.parse(self.text.of(node), mode="eval").body) == ast.dump(node)
        except (SyntaxError, ValueError):
            return False

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if value is True or value is False:
            self._replace("constant", node, str(not value))
        elif isinstance(value, int):
            self._replace("constant", node, str(value + 1) if value < 1000 else f"({self.text.of(node)} + 1)")
        elif isinstance(value, float):
            self._replace("constant", node, f"({self.text.of(node)} + 1)")
        elif isinstance(value, str):
            self._string(node, value)

    def _string(self, node: ast.expr, value: str) -> None:
        start, end = self.text.start(node), self.text.end(node)
        if sql_operators.looks_like_sql(value):
            self._labels.append("sql")
            for literal in _STRING.finditer(self.text.text, start, end):
                for edit in sql_operators.edits(literal["body"]):
                    offset = literal.start("body")
                    self._add(edit.operator, offset + edit.start, offset + edit.end, edit.new)
            self._labels.pop()
            return
        quote = _QUOTE.match(self.text.text, start)
        if quote:
            self._labels.append("words" if are_words(value) else "text")
            text = self.text.text
            self._add("string", start, end, f"{text[start : quote.end()]}XX{text[quote.end() : end]}")
            self._labels.pop()
