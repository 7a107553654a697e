"""Sources of functions, and what is in the packages that are built of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.spec.model import FunctionSpec

HANDLER = "def lambda_handler(event, context):\n    return event\n"


def write(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Files with these contents below ``root``, which is returned."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def names(source: Path, **different: object) -> list[str]:
    """What is in the package, bytecode aside."""
    content = build(FunctionSpec("f", source, **different)).content  # type: ignore[arg-type]
    found = zipfile.ZipFile(io.BytesIO(content)).namelist()
    return [name for name in found if not name.endswith(".pyc")]
