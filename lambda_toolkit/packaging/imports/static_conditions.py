"""What a condition in a module is on Lambda, where its source alone says so: Linux, one version of Python, no types."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

_UNKNOWN: Final = object()
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, many: item in many,
    ast.NotIn: lambda item, many: item not in many,
}
_VALUES = {"os.name": "posix", "sys.platform": "linux", "platform.system()": "Linux", "__debug__": True}
_SET_BY_LAMBDA = frozenset(  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    (
        *("AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_RUNTIME_API"),
        *("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR", "AWS_REGION"),
    )
)
_READ_ENVIRONMENT = ("os.environ.get", "environ.get", "os.getenv", "getenv")


def truth(test: ast.expr, version: tuple[int, int]) -> bool | None:
    """Whether ``test`` holds on Lambda's Python ``version``; ``None`` where that is decided when it runs."""
    found = _value(test, version)
    return None if found is _UNKNOWN else bool(found)


def _value(node: ast.expr, version: tuple[int, int]) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.Tuple(items) | ast.List(items) | ast.Set(items):
            values = [_value(item, version) for item in items]
            return _UNKNOWN if _UNKNOWN in values else tuple(values)
        case ast.UnaryOp(ast.Not(), operand):
            found = _value(operand, version)
            return _UNKNOWN if found is _UNKNOWN else not found
        case ast.BoolOp(operation, items):
            return _combined(isinstance(operation, ast.And), (_value(item, version) for item in items))
        case ast.Compare(left, [operation], [right]):
            return _compared(left, operation, right, version)
        case ast.Call():
            return _called(node, version)
    name = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) else ""
    if name.rpartition(".")[2] == "TYPE_CHECKING":
        return False
    return _version_value(name, version) if "version_info" in name else _VALUES.get(name, _UNKNOWN)


def _version_value(name: str, version: tuple[int, int]) -> Any:
    part = name.rpartition("version_info")[2]
    return {"[0]": 3, ".major": 3, "[1]": version[1], ".minor": version[1], "[:2]": version}.get(part, _UNKNOWN)


def _combined(is_and: bool, values: Iterable[Any]) -> Any:
    unknown = False
    for found in values:
        if found is _UNKNOWN:
            unknown = True
        elif bool(found) != is_and:
            return not is_and
    return _UNKNOWN if unknown else is_and


def _compared(left: ast.expr, operation: ast.cmpop, right: ast.expr, version: tuple[int, int]) -> Any:
    sides = (ast.unparse(left), ast.unparse(right))
    if "__name__" in sides and any(side in ("'__main__'", '"__main__"') for side in sides):
        return isinstance(operation, ast.NotEq)
    if sides[1] in ("os.environ", "environ") and isinstance(left, ast.Constant) and left.value in _SET_BY_LAMBDA:
        return isinstance(operation, ast.In)
    if sides[0].rpartition(".")[2] == "version_info":
        return _version_compared(operation, _value(right, version), version)
    values = [_value(left, version), _value(right, version)]
    if _UNKNOWN in values:
        return _UNKNOWN
    try:
        return _COMPARE[type(operation)](*values) if type(operation) in _COMPARE else _UNKNOWN
    except TypeError:
        return _UNKNOWN


def _version_compared(operation: ast.cmpop, other: Any, version: tuple[int, int]) -> Any:
    """``sys.version_info`` has five parts: it is more than an equal tuple of two."""
    if not isinstance(other, tuple) or type(operation) not in _COMPARE:
        return _UNKNOWN
    if other[:2] == version and len(other) > 2:
        return _UNKNOWN  # a patch release
    try:
        return _COMPARE[type(operation)]((*version, 0), other)
    except TypeError:
        return _UNKNOWN


def _called(node: ast.Call, version: tuple[int, int]) -> Any:
    name = ast.unparse(node.func)
    if name in _READ_ENVIRONMENT and node.args and isinstance(node.args[0], ast.Constant):
        return "set" if node.args[0].value in _SET_BY_LAMBDA else _UNKNOWN
    if isinstance(node.func, ast.Attribute) and node.func.attr == "startswith" and len(node.args) == 1:
        values = [_value(node.func.value, version), _value(node.args[0], version)]
        return _UNKNOWN if _UNKNOWN in values else str(values[0]).startswith(values[1])
    return _VALUES.get(ast.unparse(node), _UNKNOWN)
