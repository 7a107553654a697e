"""Compile modules to ``.pyc`` files for the Python of the runtime, which shortens cold starts.

Bytecode is not part of a package's identity, which is the digest of its sources. Compilers of one minor version mostly
produce the same bytes, but not always (3.11.2 and 3.11.7 differ in one module of 500), and some machines have no
interpreter for the runtime. A deploy with an interpreter adds bytecode; one without keeps what is deployed. So a laptop
and CI never replace each other's packages in turn.
"""

from __future__ import annotations

import hashlib
import json
import subprocess  # nosec B404  # the interpreter is run from a list of arguments
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import compiler
from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.interpreters import find_interpreter

_LOCK = threading.Lock()  # functions share modules: each is compiled once
_LARGEST_CACHE = 4096  # modules
_compiled: dict[tuple[str, str, bytes], dict[str, Any]] = {}


def can_compile_for(runtime: str) -> bool:
    """Whether a Python of the runtime's version is on this machine or could be downloaded."""
    return find_interpreter(runtime) is not None


def missing_note(what: str, runtime: str) -> str:
    """The note for a package or layer without bytecode; ``what`` names it."""
    version = runtime.removeprefix("python")
    return (
        f"{what} has no bytecode, so its cold starts take longer: there is no Python {version} on this machine "
        f"to compile it. Try: uv python install {version}"
    )


def with_bytecode(entries: Mapping[str, Entry], root: str, runtime: str, *, strict: bool) -> dict[str, Entry]:
    """``entries`` and the bytecode of each module; ``entries`` alone where no interpreter for ``runtime`` is found.

    ``root`` is the folder where Lambda extracts them, for tracebacks. With ``strict``, a module that does not compile
    raises PackageError; otherwise it has no bytecode.
    """
    interpreter = find_interpreter(runtime)
    modules = [name for name in entries if name.endswith(".py")]
    if interpreter is None or not modules:
        return dict(entries)
    tag = f"cpython-{runtime.removeprefix('python').replace('.', '')}"
    results = _compile(interpreter, [(f"{root}/{name}", entries[name].content) for name in modules])
    added: dict[str, Entry] = {}
    for name, result in zip(modules, results, strict=True):
        if "pyc" in result:
            path = PurePosixPath(name)
            added[str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc")] = Entry(result["pyc"])
        elif strict:
            line = f", line {result['line']}" if result["line"] else ""
            raise PackageError(
                f"{name}{line}: {result['error']}. {runtime.capitalize()} cannot compile it, so Lambda could not "
                "run it."
            )
    return {**entries, **added}


def _compile(interpreter: Path, modules: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    keys = [(str(interpreter), path, hashlib.sha256(source).digest()) for path, source in modules]
    with _LOCK:
        new = {key: module for key, module in zip(keys, modules, strict=True) if key not in _compiled}
        if len(_compiled) > _LARGEST_CACHE:
            _compiled.clear()
            new = dict(zip(keys, modules, strict=True))
        if str(interpreter) == sys.executable:
            found = [compiler.compile_module(*module) for module in new.values()]
        else:
            found = _compile_elsewhere(interpreter, list(new.values())) if new else []
        _compiled.update(zip(new, found, strict=True))
        return [_compiled[key] for key in keys]


def _compile_elsewhere(interpreter: Path, modules: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    request = json.dumps([(path, source.decode("latin-1")) for path, source in modules])
    try:
        done = subprocess.run(
            [str(interpreter), "-S", "-B", str(Path(compiler.__file__))],
            input=request.encode(),
            env={"PYTHONHASHSEED": "0"},  # before 3.11, marshal wrote sets in hash order
            capture_output=True,
            check=True,
        )  # nosec B603
        results = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        output = getattr(error, "stderr", b"") or b""
        reason = output.decode(errors="replace").strip()[-500:] or str(error)
        raise PackageError(f"{interpreter} cannot compile the modules of the package: {reason}") from error
    return [
        {"pyc": item["pyc"].encode("latin-1")} if "pyc" in item else {"error": item["error"], "line": item["line"]}
        for item in results
    ]
