"""The functions of a file that is not the pipeline's: a function's source, or a script that declares functions."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_toolkit.pipeline.errors import UsageError

if TYPE_CHECKING:
    from lambda_script import Lambda_script


def is_file(name: str) -> bool:
    """Whether ``name`` is the path of a file or folder rather than the name of a function of the pipeline."""
    return name.endswith(".py") or "/" in name


def scripts_of(path: Path, arguments: Sequence[str] = ()) -> list[Lambda_script]:
    """What ``path`` declares: of a script that imports ``lambda_script``, each function that it makes when it is run
    with ``arguments``, without deploying; else the function whose source it is, with the defaults.

    Raises UsageError where there is no such file, and ToolkitError for what it declares.
    """
    from lambda_script import Lambda_script
    from lambda_toolkit.scripts import declarations

    if not path.exists():
        raise UsageError(f"There is no file {path}.")
    if path.is_file() and _declares(path):
        declared: list[Lambda_script] = declarations(path, arguments)
        return declared
    if arguments:
        raise UsageError(f"{path} is the source of a function, which takes no arguments: {' '.join(arguments)}.")
    return [Lambda_script(path, Path("build") / f"{path.absolute().stem}.zip")]


def _declares(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return False  # packaging says what is wrong with it
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return any(
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name) == "lambda_script" for node in imports
    )
