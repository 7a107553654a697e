"""Reproducible zip archives: the same bytes for the same content, whatever the clock, file modes and disk order."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest timestamp of the zip format
_STORED_UP_TO = 1024 * 1024  # bytes
_PROGRAM = (b"#!", b"\x7fELF")  # the first bytes of an executable file


@dataclass(frozen=True)
class Entry:
    """One file of an archive."""

    content: bytes = field(repr=False)
    executable: bool = False


def entry_of(file: Path, content: bytes) -> Entry:
    """The entry of ``file`` with ``content``: executable where the file is a program.

    The mode alone is not enough: on some file systems every file is executable. Python sources are imported, not run.
    """
    is_program = content.startswith(_PROGRAM) and file.suffix != ".py" and bool(file.stat().st_mode & 0o100)
    return Entry(content, is_program)


def write_archive(entries: Mapping[str, Entry]) -> bytes:
    """The zip of ``entries``, a mapping of names in the archive to entries.

    Archives of up to 1 MiB, such as the code of most functions, are stored, not deflated: deflate's output differs
    between implementations of zlib, and the saving is small. Larger ones are deflated at level 6: the pipeline's
    requirements have 106 MiB stored, which Lambda accepts only through S3, and 34 MiB deflated. Their bytes are equal
    only where zlib is; that does no harm, as packages are identified by :func:`content_digest` and layers by their
    requirements.
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
    """The hash that Lambda returns as ``CodeSha256``: SHA-256, in base64."""
    return base64.b64encode(hashlib.sha256(archive).digest()).decode()


def content_digest(entries: Mapping[str, Entry]) -> str:
    """The SHA-256 of the names, modes and contents of ``entries``, in hexadecimal; independent of compression."""
    digest = hashlib.sha256()
    for name in sorted(entries):
        entry = entries[name]
        digest.update(f"{len(name)} {name} {int(entry.executable)} {len(entry.content)}\n".encode())
        digest.update(entry.content)
    return digest.hexdigest()
