"""The tree of an SQL expression, as the configuration's parser makes it and ``tables.json`` packages it.

Nothing in it is typed yet: types depend on the source's columns, see :mod:`.resolve`. Every node knows its place in the
text, counted in characters from 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

MAX_DEPTH = 100  # levels of a tree: Python's own limit is far above

TEXT, INTEGER, NUMERIC, BOOLEAN, NULL = "text", "integer", "numeric", "boolean", "null"  # kinds of constants


class ExpressionError(ValueError):
    """An expression that is refused: why, and where in its text."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(f"{reason} (at character {at + 1})")
        self.at = at


@dataclass(frozen=True)
class Column:
    """A column: of the row itself, or of a joined row."""

    path: tuple[str, ...]
    """The names of the joins that lead to the row, then the column."""
    at: int = 0


@dataclass(frozen=True)
class Constant:
    """A constant. Of the kind TEXT it is what PostgreSQL calls unknown: its type is the one that its place needs."""

    kind: str
    value: str | bool | None
    """Of INTEGER and NUMERIC the digits, with a sign where one was written."""
    at: int = 0


@dataclass(frozen=True)
class Call:
    """A function or an operator of the closed list, by its name in :mod:`.signatures`."""

    name: str
    arguments: tuple[Node, ...]
    at: int = 0


@dataclass(frozen=True)
class Cast:
    """``operand::type``."""

    operand: Node
    type: str
    """As format_type() writes it."""
    at: int = 0


@dataclass(frozen=True)
class Case:
    """``CASE WHEN condition THEN result ... ELSE otherwise END``."""

    branches: tuple[tuple[Node, Node], ...]
    otherwise: Node | None
    at: int = 0


Node = Column | Constant | Call | Cast | Case


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, in the order of the text."""
    match node:
        case Call():
            return node.arguments
        case Cast():
            return (node.operand,)
        case Case():
            last = () if node.otherwise is None else (node.otherwise,)
            return (*(part for branch in node.branches for part in branch), *last)
    return ()


def column_paths(node: Node) -> tuple[tuple[str, ...], ...]:
    """The path of every column that the tree reads, each once, in the order of the text."""
    return tuple(dict.fromkeys(found.path for found in _nodes(node) if isinstance(found, Column)))


def without_columns(node: Node, absent: Callable[[tuple[str, ...]], bool]) -> Node:
    """The tree with NULL in place of each column whose path is ``absent``."""
    match node:
        case Column(path, at):
            return Constant(NULL, None, at) if absent(path) else node
        case Call():
            return replace(node, arguments=tuple(without_columns(part, absent) for part in node.arguments))
        case Cast():
            return replace(node, operand=without_columns(node.operand, absent))
        case Case(branches, otherwise):
            pairs = tuple((without_columns(when, absent), without_columns(then, absent)) for when, then in branches)
            return replace(node, branches=pairs, otherwise=otherwise and without_columns(otherwise, absent))
    return node


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _nodes(child)


def to_json(node: Node) -> list[Any]:
    """The tree as JSON values: ``[kind, place, ...]``."""
    match node:
        case Column():
            return ["column", node.at, *node.path]
        case Constant():
            return ["constant", node.at, node.kind, node.value]
        case Call():
            return ["call", node.at, node.name, *map(to_json, node.arguments)]
        case Cast():
            return ["cast", node.at, node.type, to_json(node.operand)]
        case Case():
            branches = [[to_json(condition), to_json(result)] for condition, result in node.branches]
            return ["case", node.at, branches, None if node.otherwise is None else to_json(node.otherwise)]


def from_json(value: Any) -> Node:
    """The tree that ``to_json`` wrote. Raises ValueError for anything else."""
    try:
        kind, at, *rest = value
        if kind == "column":
            return Column(tuple(rest), at)
        if kind == "constant":
            return Constant(rest[0], rest[1], at)
        if kind == "call":
            return Call(rest[0], tuple(map(from_json, rest[1:])), at)
        if kind == "cast":
            return Cast(from_json(rest[1]), rest[0], at)
        if kind == "case":
            branches = tuple((from_json(condition), from_json(result)) for condition, result in rest[0])
            return Case(branches, None if rest[1] is None else from_json(rest[1]), at)
    except (TypeError, ValueError, IndexError, RecursionError) as error:
        raise ValueError(f"{str(value)[:60]} is not the tree of an expression") from error
    raise ValueError(f"{str(value)[:60]} is not the tree of an expression")
