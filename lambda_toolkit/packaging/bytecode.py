"""The ``.pyc`` files that a cold start then need not compile, for the Python of the target runtime.

What this decides about identity. Compilers of one minor version mostly make the same bytes, but not always (3.11.2 and
3.11.7 differ in one module of 500), and some machines have no compiler for the runtime at all. So bytecode is no part
of what a package is known by: that is the digest of its sources. And it only ever gets better: who has a compiler adds
it, who has none leaves alone what somebody else deployed with it. A laptop and CI never undo each other's work.
"""

from __future__ import annotations

import hashlib
import json
import subprocess  # nosec B404: the interpreter is run from a list of arguments
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import compiler
from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.interpreters import find_interpreter

_COMPILING = threading.Lock()  # functions share modules: each is compiled once for them all
_KEPT = 4096
_known: dict[tuple[str, str, bytes], dict[str, Any]] = {}


def can_compile_for(runtime: str) -> bool:
    """Whether a Python of the version of ``runtime`` is here, or could be had."""
    return find_interpreter(runtime) is not None


def missing_note(what: str, runtime: str) -> str:
    """What to tell people where there is no bytecode."""
    version = runtime.removeprefix("python")
    return (
        f"{what} goes without bytecode, so its cold starts take longer: there is no Python {version} on this machine "
        f"to compile it. Try: uv python install {version}"
    )


def with_bytecode(entries: Mapping[str, Entry], root: str, runtime: str, *, strict: bool) -> dict[str, Entry]:
    """``entries`` and, for each module, its bytecode; ``entries`` alone where nothing can compile for ``runtime``.

    ``root`` is where Lambda unpacks them; tracebacks show it. With ``strict`` a module that does not compile raises
    PackageError; otherwise it goes without.
    """
    interpreter = find_interpreter(runtime)
    modules = [name for name in entries if name.endswith(".py")]
    if interpreter is None or not modules:
        return dict(entries)
    tag = f"cpython-{runtime.removeprefix('python').replace('.', '')}"
    answers = _compile(interpreter, [(f"{root}/{name}", entries[name].content) for name in modules])
    added: dict[str, Entry] = {}
    for name, answer in zip(modules, answers, strict=True):
        if "pyc" in answer:
            path = PurePosixPath(name)
            added[str(path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc")] = Entry(answer["pyc"])
        elif strict:
            line = f", line {answer['line']}" if answer["line"] else ""
            raise PackageError(
                f"{name}{line}: {answer['error']}. {runtime.capitalize()} cannot compile it, so Lambda could not "
                "run it."
            )
    return {**entries, **added}


def _compile(interpreter: Path, modules: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    keys = [(str(interpreter), path, hashlib.sha256(source).digest()) for path, source in modules]
    with _COMPILING:
        new = {key: module for key, module in zip(keys, modules, strict=True) if key not in _known}
        if len(_known) > _KEPT:
            _known.clear()
            new = dict(zip(keys, modules, strict=True))
        if str(interpreter) == sys.executable:
            found = [compiler.answer(*module) for module in new.values()]
        else:
            found = _compile_elsewhere(interpreter, list(new.values())) if new else []
        _known.update(zip(new, found, strict=True))
        return [_known[key] for key in keys]


def _compile_elsewhere(interpreter: Path, modules: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
    asked = json.dumps([(path, source.decode("latin-1")) for path, source in modules])
    try:
        done = subprocess.run(
            [str(interpreter), "-S", "-B", str(Path(compiler.__file__))],
            input=asked.encode(),
            env={"PYTHONHASHSEED": "0"},  # before 3.11, marshal wrote sets in the order of their hashes
            capture_output=True,
            check=True,
        )  # nosec B603
        answer = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError) as error:
        output = getattr(error, "stderr", b"") or b""
        reason = output.decode(errors="replace").strip()[-500:] or str(error)
        raise PackageError(f"{interpreter} cannot compile the modules of the package: {reason}") from error
    return [
        {"pyc": item["pyc"].encode("latin-1")} if "pyc" in item else {"error": item["error"], "line": item["line"]}
        for item in answer
    ]
