"""Zips whose bytes depend on their content alone."""

from __future__ import annotations

import io
import zipfile

import pytest

from lambda_toolkit.packaging.archive import Entry, write_archive
from lambda_toolkit.packaging.bytecode import with_bytecode
from lambda_toolkit.spec.model import THIS_RUNTIME


def methods(content: bytes) -> set[int]:
    return {info.compress_type for info in zipfile.ZipFile(io.BytesIO(content)).infolist()}


def test_order_does_not_matter() -> None:
    entries = {"b": Entry(b"2"), "a": Entry(b"1"), "c/d": Entry(b"3", executable=True)}
    content = write_archive(entries)
    assert content == write_archive(dict(reversed(entries.items())))
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.namelist() == ["a", "b", "c/d"]
    assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_only_large_archives_are_deflated() -> None:
    assert methods(write_archive({"a": Entry(b"x" * 1000)})) == {zipfile.ZIP_STORED}
    large = write_archive({"a": Entry(b"x" * 2_000_000)})
    assert methods(large) == {zipfile.ZIP_DEFLATED}
    assert len(large) < 10_000


def test_module_that_does_not_compile_is_packed_without_bytecode() -> None:
    """A module that does not compile goes without bytecode where that is allowed."""
    entries = {"templates/x.py": Entry(b"{% raise %}"), "ok.py": Entry(b"x = 1\n"), "null.py": Entry(b"\0")}
    assert sorted(
        name for name in with_bytecode(entries, "/opt/python", THIS_RUNTIME, strict=False) if name.endswith(".pyc")
    ) == [
        next(
            name
            for name in with_bytecode({"ok.py": entries["ok.py"]}, "/opt/python", THIS_RUNTIME, strict=True)
            if "pyc" in name
        )
    ]


def test_warnings_of_what_is_packaged_are_not_shown(recwarn: pytest.WarningsRecorder) -> None:
    assert len(with_bytecode({"x.py": Entry(b"x = 1 is 1\ny = '\\d'\n")}, "/var/task", THIS_RUNTIME, strict=True)) == 2
    assert not recwarn.list
