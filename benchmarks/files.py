# ruff: noqa: N803  # the names of boto3
"""A bucket that is a directory: what the functions store and read, without the time that an S3 would take."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_BLOCK = 1024 * 1024  # bytes that are copied together


class Files:
    """As much of an S3 client as a lake needs, on the disk."""

    class exceptions:  # noqa: N801  # as boto3 calls it
        """What boto3 raises."""

        class ClientError(Exception):
            """An object does not exist."""

            response = {"Error": {"Code": "404"}}  # noqa: RUF012  # boto3's name and type

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_object(self, *, Key: str, Body: IO[bytes], **_: object) -> None:
        """Writes a file."""
        path = self._root / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(Body, file, _BLOCK)

    def upload_fileobj(self, file: IO[bytes], bucket: str, key: str) -> None:
        """Writes a file."""
        self.put_object(Key=key, Body=file)

    def get_object(self, *, Key: str, **_: object) -> dict[str, object]:
        """Reads a file. Raises ClientError where it does not exist."""
        if not (self._root / Key).exists():
            raise self.exceptions.ClientError
        return {"Body": _Body((self._root / Key).open("rb"))}

    def head_object(self, *, Key: str, **_: object) -> dict[str, object]:
        """Nothing of a file. Raises ClientError where it does not exist."""
        if not (self._root / Key).exists():
            raise self.exceptions.ClientError
        return {}

    def list_objects_v2(
        self, *, Prefix: str, StartAfter: str = "", MaxKeys: int = 1000, **_: object
    ) -> dict[str, object]:
        """The names of the files in a folder."""
        keys = sorted(str(path.relative_to(self._root)) for path in (self._root / Prefix).glob("*"))
        return {"Contents": [{"Key": key, "LastModified": None} for key in keys if key > StartAfter][:MaxKeys]}


class _Body:
    """An open file, as boto3 returns an object's content: read once, and never complete in memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self) -> bytes:
        with self._file:
            return self._file.read()

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        with self._file:
            while block := self._file.read(size):
                yield block
