"""Compile modules to bytecode with the interpreter that runs this file: the toolkit's, or the runtime's as a program.

Imports only the standard library and uses only the syntax of Python 3.9, the oldest runtime.
As a program it reads from standard input the JSON list ``[[path, source], ...]``, with bytes as Latin-1, and writes
``[{"pyc": ...} or {"error": ..., "line": ...}, ...]`` in the same order.
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import sys
import warnings
from typing import Any

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: hash-based, and not compared with the source
_MARSHAL_WITHOUT_REFERENCES = 2


def compiled(source: bytes, path: str) -> bytes:
    """The ``.pyc`` content of ``source``, reproducible across processes; tracebacks show ``path``.

    From version 3 on, marshal flags objects by their reference counts, which differ between processes. Version 2 has no
    such flags. Raises SyntaxError and ValueError.
    """
    with warnings.catch_warnings():  # the module's authors' concern; standard output is for the result
        warnings.simplefilter("ignore")
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    body = marshal.dumps(code, _MARSHAL_WITHOUT_REFERENCES)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source) + body


def compile_module(path: str, source: bytes) -> dict[str, Any]:
    """``{"pyc": bytes}``, or the reason why there is none: ``{"error": str, "line": int | None}``."""
    try:
        return {"pyc": compiled(source, path)}
    except SyntaxError as error:
        return {"error": error.msg, "line": error.lineno}
    except (ValueError, RecursionError, MemoryError) as error:
        return {"error": str(error), "line": None}


def main() -> None:
    """Compile the modules from standard input."""
    modules = json.loads(sys.stdin.buffer.read())
    results = [compile_module(path, source.encode("latin-1")) for path, source in modules]
    for item in results:
        if "pyc" in item:
            item["pyc"] = item["pyc"].decode("latin-1")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
