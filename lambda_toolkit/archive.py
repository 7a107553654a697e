"""Zip archives and bytecode that are the same bytes for the same content: no clocks, no modes, no order of the disk."""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.util
import io
import marshal
import sys
import threading
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import CodeType

from lambda_toolkit.errors import PackageError
from lambda_toolkit.model import THIS_RUNTIME

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip can hold
_STORED_UP_TO = 1024 * 1024
_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: hash-based, and not compared with the source
_MARSHAL_WITHOUT_REFERENCES = 2
_WARNINGS = threading.Lock()  # which warnings are shown is one setting for all threads


@dataclass(frozen=True)
class Entry:
    """One file of an archive."""

    content: bytes = field(repr=False)
    executable: bool = False


def write_archive(entries: Mapping[str, Entry]) -> bytes:
    """The zip of ``entries`` (by their names in it).

    Small archives are stored, not deflated: deflate's output differs between builds of zlib, and what it would save
    is nothing.
    """
    size = sum(len(entry.content) for entry in entries.values())
    method = zipfile.ZIP_STORED if size <= _STORED_UP_TO else zipfile.ZIP_DEFLATED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method, compresslevel=6) as archive:
        for name in sorted(entries):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3  # Unix, on Windows too
            info.external_attr = (0o100755 if entries[name].executable else 0o100644) << 16
            info.compress_type = method
            archive.writestr(info, entries[name].content)
    return buffer.getvalue()


def code_sha256(archive: bytes) -> str:
    """The hash that Lambda shows as ``CodeSha256``."""
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()


def can_compile_for(runtime: str) -> bool:
    """Whether this Python's bytecode is the one that ``runtime`` reads."""
    return runtime == THIS_RUNTIME and sys.implementation.name == "cpython"


def with_bytecode(entries: Mapping[str, Entry], root: str, *, strict: bool) -> dict[str, Entry]:
    """``entries`` and, for each module, the ``.pyc`` that a cold start then need not compile.

    ``root`` is where Lambda unpacks them; tracebacks show it. With ``strict`` a module that does not compile raises
    PackageError; otherwise it goes without. The bytes are the same for the same release of Python.
    """
    added: dict[str, Entry] = {}
    for name, entry in entries.items():
        path = PurePosixPath(name)
        if path.suffix != ".py":
            continue
        try:
            code = _compiled(entry.content, f"{root}/{name}")
        except (SyntaxError, ValueError) as error:
            if strict:
                line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
                reason = error.msg if isinstance(error, SyntaxError) else str(error)
                raise PackageError(
                    f"{name}{line}: {reason}. Python cannot compile it, so Lambda could not run it."
                ) from error
            continue
        # From version 3 on, marshal marks objects that are referred to more than once, by their reference counts, which
        # may differ from process to process. Version 2 has no such marks.
        body = marshal.dumps(code, _MARSHAL_WITHOUT_REFERENCES)
        header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(entry.content)
        cached = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        added[str(cached)] = Entry(header + body)
    return {**entries, **added}


@functools.lru_cache(maxsize=1024)
def _compiled(source: bytes, path: str) -> CodeType:
    """``source`` compiled, without its warnings: they are its authors' business, and nothing is printed here.

    Functions share modules: each is compiled once for them all.
    """
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code: CodeType = compile(source, path, "exec", dont_inherit=True, optimize=0)
        return code
