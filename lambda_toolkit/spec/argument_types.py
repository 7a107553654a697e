"""Which types the keywords of ``Lambda_script`` take. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lambda_toolkit.errors import LimitError, PackageError, ToolkitError

Given = Mapping[str, Any]  # the keywords, by their names


def is_text(value: Any) -> bool:
    """Whether it is a text."""
    return isinstance(value, str)


def is_path(value: Any) -> bool:
    """Whether it is a path, or a text that may be one."""
    return isinstance(value, str | PathLike)


def is_whole(value: Any) -> bool:
    """Whether it is a whole number. True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a number. True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Whether something is a list of what ``check`` takes."""
    return lambda value: is_list(value) and all(map(check, value))


def is_list(value: Any) -> bool:
    """Whether it is a list or a tuple. A text is none."""
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


_OPTIONAL_TEXTS = (
    "function_name_template",
    "application",
    "handler",
    "platform",
    "region",
    "description",
    "artifact_bucket",
)
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lambda_function_path": (is_path, "the path of a file or a folder"),
    "zip_file_name": (is_path, "the path of a file, such as build/report.zip"),
    **dict.fromkeys(_OPTIONAL_TEXTS, (lambda value: value is None or is_text(value), "a text")),
    "stage": (is_text, "a text, such as dev"),
    "runtime": (lambda value: value is None or is_text(value), "a text, such as python3.12"),
    "architecture": (is_text, "x86_64 or arm64"),
    "memory": (is_whole, "a whole number of MB, such as 256"),
    "timeout": (is_whole, "a whole number of seconds, such as 60"),
    "log_retention_days": (lambda value: value is None or is_whole(value), "a whole number of days, such as 30"),
    "environment": (lambda value: value is None or isinstance(value, Mapping), 'a mapping, such as {"MODE": "fast"}'),
    "secret_environment": (is_list_of(is_text), 'a list of names, such as ["TOKEN"]'),
    "include": (is_list_of(is_path), 'a list of paths, such as ["lib"]'),
    "extra_files": (
        lambda value: value is None or isinstance(value, Mapping),
        'a mapping of names in the package to bytes or Paths, such as {"names.json": Path("names.json")}',
    ),
    "requirements_exclude": (is_list_of(is_text), 'a list of globs, such as ["numpy/f2py/**"]'),
    "permissions": (
        lambda value: value is None or is_list_of(lambda item: isinstance(item, Mapping))(value),
        'a list of IAM statements, such as [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:..."}]',
    ),
    "tags": (lambda value: value is None or isinstance(value, Mapping), 'a mapping, such as {"team": "shop"}'),
    "health_event": (lambda value: value is None or isinstance(value, Mapping), 'a mapping, such as {"ping": 1}'),
    "adopt": (lambda value: isinstance(value, bool), "True or False"),
}


def type_problems(given: Given) -> Iterator[ToolkitError]:
    """What has the wrong type, keyword by keyword. The values of an environment are not shown."""
    wrong: set[str] = set()
    for name, (is_right, wanted) in _CHECKS.items():
        if not is_right(given[name]):
            wrong.add(name)
            kind = PackageError if name == "lambda_function_path" else LimitError
            yield kind(f"{name} must be {wanted}, not {_shown(name, given[name])}.")
    for name in ("environment", "tags"):
        if name not in wrong:
            yield from _text_problems(name, given[name] or {})
    if "extra_files" not in wrong:
        for name, content in (given["extra_files"] or {}).items():
            if not isinstance(name, str) or not isinstance(content, bytes | Path):
                yield PackageError(
                    f"extra_files[{name!r}] must be bytes or the Path of a file, under a name that is a text; it is "
                    f"{type(content).__name__}. A text becomes bytes by .encode()."
                )
    if "permissions" not in wrong:
        for number, statement in enumerate(given["permissions"] or (), start=1):
            yield from _statement_problems(number, statement)


def _text_problems(name: str, mapping: Mapping[Any, Any]) -> Iterator[ToolkitError]:
    for key, value in mapping.items():
        if not isinstance(key, str) or not isinstance(value, str):
            odd = type(key).__name__ if not isinstance(key, str) else type(value).__name__
            yield LimitError(f"{name}[{key!r}] must be a text under a name that is a text, and not {odd}.")


def _statement_problems(number: int, statement: Mapping[str, Any]) -> Iterator[ToolkitError]:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"""
    where = f"permissions: statement {number}"
    try:
        json.dumps(statement)
    except (TypeError, ValueError) as error:
        yield LimitError(f"{where} cannot be written as JSON: {error}. Use texts, lists and mappings.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield LimitError(f"{where} needs `Effect`, which is Allow or Deny.")
    for name in ("Action", "Resource"):
        if not statement.get(name) and not statement.get(f"Not{name}"):
            yield LimitError(f"{where} needs `{name}`, a text or a list of texts.")


def _shown(name: str, value: Any) -> str:
    """``value`` for the message, unless it may be nobody's business; what is long is named by its type."""
    text = repr(value)
    return type(value).__name__ if name == "environment" or len(text) > 60 else text
