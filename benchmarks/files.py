# ruff: noqa: N803  # the names of boto3
"""A bucket that is a directory: what the functions store and read, without the time that an S3 would take."""

from __future__ import annotations

from pathlib import Path


class Files:
    """As much of an S3 client as a lake needs, on the disk."""

    class exceptions:  # noqa: N801  # as boto3 calls it
        """What boto3 raises."""

        class ClientError(Exception):
            """An object does not exist."""

            response = {"Error": {"Code": "404"}}  # noqa: RUF012  # boto3's name and type

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_object(self, *, Key: str, Body: object, **_: object) -> None:
        """Writes a file."""
        path = self._root / Key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Body.read())  # type: ignore[attr-defined]

    def upload_fileobj(self, file: object, bucket: str, key: str) -> None:
        """Writes a file."""
        self.put_object(Key=key, Body=file)

    def get_object(self, *, Key: str, **_: object) -> dict[str, object]:
        """Reads a file. Raises ClientError where it does not exist."""
        if not (self._root / Key).exists():
            raise self.exceptions.ClientError
        return {"Body": _Body((self._root / Key).read_bytes())}

    def list_objects_v2(
        self, *, Prefix: str, StartAfter: str = "", MaxKeys: int = 1000, **_: object
    ) -> dict[str, object]:
        """The names of the files in a folder."""
        keys = sorted(str(path.relative_to(self._root)) for path in (self._root / Prefix).glob("*"))
        return {"Contents": [{"Key": key, "LastModified": None} for key in keys if key > StartAfter][:MaxKeys]}


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self) -> bytes:
        return self._content

    def iter_chunks(self, size: int) -> object:
        return (self._content[at : at + size] for at in range(0, len(self._content), size))
