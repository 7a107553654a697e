"""Modules as bytecode, for the Python that runs this file: the toolkit's own, or the runtime's in a process of its own.

Imports the standard library alone and keeps to the syntax of Python 3.9, the oldest runtime.
Run by itself it reads from standard input the JSON list ``[[path, source], ...]``, with bytes as Latin-1, and writes
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
    """The content of the ``.pyc`` of ``source``; tracebacks show ``path``. The same bytes in every process.

    From version 3 on, marshal marks objects that are referred to more than once, by their reference counts, which may
    differ from process to process. Version 2 has no such marks. Raises SyntaxError and ValueError.
    """
    with warnings.catch_warnings():  # they are its authors' business, and nothing is printed here
        warnings.simplefilter("ignore")
        code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    body = marshal.dumps(code, _MARSHAL_WITHOUT_REFERENCES)
    return importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source) + body


def answer(path: str, source: bytes) -> dict[str, Any]:
    """``{"pyc": bytes}``, or why there is none: ``{"error": text, "line": number or None}``."""
    try:
        return {"pyc": compiled(source, path)}
    except SyntaxError as error:
        return {"error": error.msg, "line": error.lineno}
    except (ValueError, RecursionError, MemoryError) as error:
        return {"error": str(error), "line": None}


def main() -> None:
    """Compile what comes in."""
    modules = json.loads(sys.stdin.buffer.read())
    answers = [answer(path, source.encode("latin-1")) for path, source in modules]
    for item in answers:
        if "pyc" in item:
            item["pyc"] = item["pyc"].decode("latin-1")
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
