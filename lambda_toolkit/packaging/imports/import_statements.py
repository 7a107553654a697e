"""What a module imports, and which names it defines, read from its source without running it.

An import that runs whenever the module is imported is certain. One in a function, or under a condition that is decided
when it runs, is not. One below ``try`` whose ImportError is caught is a :class:`Choice`.
"""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lambda_toolkit.packaging.imports.static_conditions import truth

# Threads of Python 3.11 that parse together fail at times, with a SystemError about a recursion depth, as they
# share a counter: https://github.com/python/cpython/issues/106905
_PARSING = threading.Lock()
_MOST_KNOWN = 4096  # modules
_CATCHES = frozenset(("ImportError", "ModuleNotFoundError", "Exception", "BaseException"))
_ENDS = frozenset(("sys.exit", "exit", "quit", "os._exit"))
_IMPORTERS = frozenset(("importlib.import_module", "import_module", "__import__"))
_DEFINES_MORE = (b"__getattr__", b"globals(", b"vars(", b"exec(", b"eval(", b"sys.modules", b"setattr(", b"__dict__")
_CHANGES_PATH = (b"sys.path", b"addsitedir", b"__path__", b"sys.meta_path", b"path_hooks")
_OF_EACH_MODULE = frozenset(
    ("__name__", "__file__", "__doc__", "__dict__", "__spec__", "__path__", "__loader__", "__package__", "__builtins__")
)


@dataclass(frozen=True)
class Import:
    """One name that a statement imports."""

    module: str
    """``a.b`` of ``import a.b`` and of ``from a.b import c``; empty for ``from . import c``."""
    name: str
    """``c`` of ``from a.b import c``; empty for ``import a.b``, and for what ``import_module`` imports."""
    level: int
    """The number of dots before the module."""
    line: int
    certain: bool
    """Whether it runs whenever its module is imported."""


@dataclass(frozen=True)
class Choice:
    """``try``: where one of ``tried`` cannot be imported, ``otherwise`` runs, and else ``then``."""

    tried: tuple[Step, ...]
    otherwise: tuple[Step, ...]
    then: tuple[Step, ...]


Step = Import | Choice


@dataclass(frozen=True)
class Statements:
    """What is known of a module without running it."""

    steps: tuple[Step, ...]
    """Its imports, in the order in which they run."""
    names: frozenset[str]
    """The names that it defines."""
    defines_more: bool
    """Whether it may define other names, too."""
    changes_path: bool
    """Whether it changes where modules are found."""


Key = tuple[bytes, tuple[int, int]]
"""The SHA-256 of a source, and the version of Python it is read for."""
_known: dict[Key, Statements] = {}


def known() -> dict[Key, Statements]:
    """What was read so far, the oldest first."""
    return dict(_known)


def remember(found: Mapping[Key, Statements]) -> None:
    """Count ``found`` as read."""
    for key, statements in found.items():
        _known.setdefault(key, statements)


def read(source: bytes, version: tuple[int, int]) -> Statements:
    """The imports of a module on Lambda's Python ``version``. Raises SyntaxError and ValueError.

    Remembered: functions share modules, and of a program that runs for long few modules change.
    """
    key = (hashlib.sha256(source).digest(), version)
    found = _known.get(key)
    if found is None:
        with _PARSING:
            tree = ast.parse(source)
        reader = _Reader(version, source)
        steps = tuple(reader.steps(tree.body, certain=True, of_module=True))
        more = reader.has_star or any(word in source for word in _DEFINES_MORE)
        found = Statements(
            steps, frozenset(reader.names | _OF_EACH_MODULE), more, any(word in source for word in _CHANGES_PATH)
        )
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = found
    return found


class _Reader:
    """Reads the statements of one module."""

    def __init__(self, version: tuple[int, int], source: bytes) -> None:
        self.names: set[str] = set()
        self.has_star = False
        self._version = version
        self._calls_importer = b"import_module" in source or b"__import__" in source
        self._has_walrus = b":=" in source

    def steps(self, body: Sequence[ast.stmt], *, certain: bool, of_module: bool) -> Iterator[Step]:
        """The imports of ``body``. ``of_module``: whether the names that it defines are the module's."""
        for statement in body:
            yield from self._of(statement, certain, of_module)

    def _of(self, node: ast.stmt, certain: bool, of_module: bool) -> Iterator[Step]:
        if self._calls_importer:
            yield from self._called(node, certain)
        if of_module:
            self._define(node)
        match node:
            case ast.Import(names):
                for alias in names:
                    yield Import(alias.name, "", 0, node.lineno, certain)
            case ast.ImportFrom(module, names, level):
                for alias in names:
                    yield Import(module or "", alias.name, level, node.lineno, certain)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from self.steps(node.body, certain=False, of_module=False)
            case ast.ClassDef():
                yield from self.steps(node.body, certain=certain, of_module=False)
            case ast.If():
                yield from self._conditional(node, certain, of_module)
            case ast.Try() | ast.TryStar():
                yield from self._tried(node, certain, of_module)
            case ast.With() | ast.AsyncWith():
                found = tuple(self.steps(node.body, certain=certain, of_module=of_module))
                suppressed = any(_suppresses(item.context_expr) for item in node.items)
                yield from [Choice(found, (), ())] if suppressed else found
            case ast.For() | ast.AsyncFor() | ast.While():
                yield from self.steps((*node.body, *node.orelse), certain=False, of_module=of_module)
            case ast.Match():
                for case in node.cases:
                    yield from self.steps(case.body, certain=False, of_module=of_module)
            case ast.Global(names):
                self.names.update(names)

    def _conditional(self, node: ast.If, certain: bool, of_module: bool) -> Iterator[Step]:
        holds = truth(node.test, self._version)
        sure = certain and holds is not None
        found = tuple(self.steps(node.body, certain=sure, of_module=of_module))
        otherwise = tuple(self.steps(node.orelse, certain=sure, of_module=of_module))
        if "find_spec" in ast.unparse(node.test):
            yield Choice((*found, *otherwise), (), ())
            return
        yield from () if holds is False else found
        yield from () if holds is True else otherwise

    def _tried(self, node: ast.Try | ast.TryStar, certain: bool, of_module: bool) -> Iterator[Step]:
        found = tuple(self.steps(node.body, certain=certain, of_module=of_module))
        then = tuple(self.steps(node.orelse, certain=certain, of_module=of_module))
        catching = next((handler for handler in node.handlers if _catches_missing(handler.type)), None)
        handled: dict[bool, list[Step]] = {True: [], False: []}
        for handler in node.handlers:
            mine = handler is catching and bool(found)
            handled[mine] += self.steps(handler.body, certain=certain and mine, of_module=of_module)
        if not found or catching is None or _gives_up(catching, handled[True]):
            yield from (*found, *handled[False], *handled[True], *then)
        else:
            yield Choice(found, tuple(handled[True]), then)
            yield from handled[False]
        yield from self.steps(node.finalbody, certain=certain, of_module=of_module)

    def _define(self, node: ast.stmt) -> None:
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                self.names.add(name)
            case ast.Import(names):
                self.names.update(alias.asname or alias.name.partition(".")[0] for alias in names)
            case ast.ImportFrom(_, names):
                self.names.update(alias.asname or alias.name for alias in names)
                self.has_star = self.has_star or any(alias.name == "*" for alias in names)
            case ast.Assign(targets):
                self.names.update(_stored(targets))
            case ast.AnnAssign(target) | ast.AugAssign(target) | ast.For(target) | ast.AsyncFor(target):
                self.names.update(_stored([target]))
            case ast.With(items) | ast.AsyncWith(items):
                self.names.update(_stored([item.optional_vars for item in items if item.optional_vars]))
            case ast.Match():
                self.has_star = True  # patterns define names in many forms
        if self._has_walrus or type(node).__name__ == "TypeAlias":
            self.names.update(_stored([node]))

    def _called(self, node: ast.stmt, certain: bool) -> Iterator[Step]:
        """The calls of ``import_module("literal")`` in the expressions of a statement, without those of its body."""
        for child in _expressions(node):
            for call in ast.walk(child):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in _IMPORTERS:
                    yield from _literal(call, certain)


def _expressions(node: ast.stmt) -> Iterator[ast.AST]:
    bodies = (ast.stmt, ast.excepthandler, ast.match_case)
    yield from (child for child in ast.iter_child_nodes(node) if not isinstance(child, bodies))


def _literal(call: ast.Call, certain: bool) -> Iterator[Import]:
    """The module that the ``call`` names. A relative name counts where it is relative to the module's own package."""
    values = [
        item.value
        for item in (*call.args[:1], *(k.value for k in call.keywords if k.arg == "name"))
        if isinstance(item, ast.Constant) and isinstance(item.value, str)
    ]
    if not values or not values[0].strip("."):
        return
    package = next((item for item in (*call.args[1:], *(k.value for k in call.keywords if k.arg == "package"))), None)
    module = values[0].lstrip(".")
    level = len(values[0]) - len(module)
    if level and (package is None or ast.unparse(package) not in ("__package__", "__spec__.parent")):
        return
    yield Import(module, "", level, call.lineno, certain)


def _stored(nodes: Sequence[ast.AST]) -> Iterator[str]:
    for node in nodes:
        yield from (
            each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
        )


def _suppresses(expression: ast.expr) -> bool:
    if not isinstance(expression, ast.Call) or ast.unparse(expression.func).rpartition(".")[2] != "suppress":
        return False
    return any(_catches_missing(argument) for argument in expression.args)


def _catches_missing(caught: ast.expr | None) -> bool:
    """Whether ``except caught`` catches ImportError. A name in capitals may be a tuple of exceptions."""
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(map(_catches_missing, caught.elts))
    name = ast.unparse(caught).rpartition(".")[2]
    return name in _CATCHES or name.isupper()


def _gives_up(handler: ast.ExceptHandler, imported: Sequence[Step]) -> bool:
    """Whether the handler of a missing module ends the import all the same."""
    if imported:
        return False
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and ast.unparse(node.value.func) in _ENDS)
        for node in handler.body
    )
