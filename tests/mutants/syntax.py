"""What the operators need to know of Python: the counterparts of signs and functions, and what a node is called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.Pow: ("**", "*"),
}
_PAIRS = (
    ("min", "max"),
    ("any", "all"),
    ("startswith", "endswith"),
    ("removeprefix", "removesuffix"),
    ("lstrip", "rstrip"),
    ("partition", "rpartition"),
    ("equal", "not_equal"),
    ("less", "less_equal"),
    ("greater", "greater_equal"),
    ("and_", "or_"),
    ("and_kleene", "or_kleene"),
    ("is_null", "is_valid"),
    ("floor", "ceil"),
    ("match", "search"),
    ("is_subset", "is_superset"),
    ("difference", "intersection"),
)
NOT_SWAPPED = {"isinstance", "min", "max", "equal", "not_equal", "and_", "or_", "and_kleene", "or_kleene", "add"}
"""Functions whose first two arguments have no order, and ``isinstance``, which always fails with them swapped."""
OTHER_NAMES = {**dict(_PAIRS), **{b: a for a, b in _PAIRS}, "fullmatch": "match", "sorted": "list"}

_TYPE_NAME = re.compile(r"\btime(stamp)? with(out)? time zone\b")


def is_text(statement: ast.AST) -> bool:
    """Whether a statement is a text and nothing else: a docstring."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def are_words(text: str) -> bool:
    """Whether a string is for people: it has three words, of small letters, that follow each other. Types have, too."""
    return re.search(r"[a-z]+ [a-z]+[ ,:;] ?[a-z]+", _TYPE_NAME.sub("", text)) is not None


def makes_error(node: ast.Call) -> bool:
    """Whether the call makes an exception, by its name; a DataError is a value, which transform reports."""
    name = last_name(node.func)
    return name != "DataError" and re.fullmatch(r"[A-Z]\w*(Error|Exception)", name) is not None


def holds_text(node: ast.AST) -> bool:
    """Whether a text is made in the expression; not a dictionary, which has codes as well."""
    return not isinstance(node, ast.Dict) and any(
        isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and isinstance(each.value, str))
        for each in ast.walk(node)
    )


def spreads(arguments: Sequence[ast.expr]) -> bool:
    """Whether one of the arguments is ``*several``."""
    return any(isinstance(argument, ast.Starred) for argument in arguments)


def last_name(node: ast.AST) -> str:
    """``c`` of ``a.b.c`` and of ``a.b.c(...)``."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def call_label(node: ast.AST) -> str:
    """``call:logger.info`` and the like: the last two names of what is called."""
    if not isinstance(node, ast.Call):
        return ""
    before = last_name(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    return f"call:{before}.{last_name(node.func)}".replace(":.", ":")


def defined(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement outside of functions defines."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
