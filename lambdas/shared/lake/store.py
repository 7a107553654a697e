"""One bucket of the lake. An object is written once and never overwritten; only orphaned data files are deleted."""

from __future__ import annotations

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

from ..errors import LakeError
from .listing import BucketListing
from .object_keys import (
    LAST_NUMBER,
    MANIFESTS,
    REVISIONS,
    BatchListing,
    ObjectInfo,
    manifest_key,
    revision_key,
    revision_of,
    revisions_of,
)
from .parquet import ParquetPart, batches, spool

if TYPE_CHECKING:
    import pyarrow as pa

SINGLE_PUT = 64 * 1024 * 1024  # bytes; a larger file is a multipart upload
_PRECONDITION = "PreconditionFailed"  # the object exists
_CONFLICT = "ConditionalRequestConflict"  # another request is writing the object, and may fail: S3 asks for a retry
_CONFLICT_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)  # seconds
_ABSENT = ("NoSuchKey", "404", "NotFound")


class Lake:
    """The objects of ``bucket``, through a boto3 S3 client. Methods raise ClientError for what they do not handle."""

    def __init__(self, client: Any, bucket: str, sleep: Callable[[float], object] = time.sleep) -> None:
        self._client = client
        self._listing = BucketListing(lambda **request: self._client.list_objects_v2(**request), bucket)
        self._sleep = sleep
        self.bucket = bucket
        self.sizes: dict[str, int] = {}
        """The size in bytes of each data file that this object stored or read, by its key."""

    def last_batch(self) -> int | None:
        """The highest number of a batch; None when there is no batch. Few requests: see BucketListing."""
        return self._listing.last_batch()

    def batches_after(self, batch: int, until: int = LAST_NUMBER) -> Iterator[BatchListing]:
        """The batches with a higher number, up to ``until``, in order."""
        return self._listing.batches(batch, until)

    def newest_revision(self, batch: int) -> str:
        """The key of the manifest of a processed batch's newest revision."""
        return self.revisions(batch)[-1]

    def revisions(self, batch: int) -> list[str]:
        """The keys of the manifests of a processed batch, oldest first."""
        numbers = [found[1] for file in self.listing(revisions_of(batch)) if (found := revision_of(file.key))]
        return [manifest_key(batch), *(revision_key(batch, number) for number in sorted(numbers))]

    def listing(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """The objects below ``prefix`` whose keys come after ``after``, in the order of their keys."""
        return self._listing.objects(prefix, after)

    def folders(self, below: str = "") -> list[str]:
        """The prefixes directly below ``below``, each with its slash."""
        return self._listing.folders(below)

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes data files. Raises ValueError for a manifest, which is never deleted, and deletes nothing then."""
        keys = list(keys)
        for key in keys:
            if key.startswith((MANIFESTS, REVISIONS)):
                raise ValueError(f"{key} is a manifest, or has the prefix of manifests")
        for key in keys:
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def newest_revisions(self, after: int) -> dict[int, str]:
        """The batches with a higher number that have a second revision -> the key of the newest revision's manifest."""
        newest: dict[int, int] = {}
        for batch, revision in self._listing.revisions(after):
            newest[batch] = max(revision, newest.get(batch, 0))
        return {batch: revision_key(batch, revision) for batch, revision in newest.items()}

    def get(self, key: str) -> bytes:
        """The content of the object ``key``. Raises LakeError when it does not exist."""
        return bytes(self._get(key).read())

    def exists(self, key: str) -> bool:
        """Whether the object ``key`` exists."""
        try:
            self._client.head_object(Bucket=self.bucket, Key=key)
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT:
                return False
            raise
        return True

    def get_optional(self, key: str) -> bytes | None:
        """The content of the object ``key``; None when it does not exist."""
        try:
            return bytes(self._client.get_object(Bucket=self.bucket, Key=key)["Body"].read())
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT:
                return None
            raise

    def put_if_absent(self, key: str, content: bytes) -> bool:
        """Stores ``content`` as ``key`` with ``If-None-Match: *``. Returns False when the object existed already.

        See https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html.
        """
        return self._put(key, io.BytesIO(content))

    def upload(self, key: str, file: IO[bytes]) -> None:
        """Stores ``file`` as ``key``, which is unique to its content: an object that exists is left unchanged."""
        self.sizes[key] = size = file.seek(0, os.SEEK_END)
        file.seek(0)
        if size <= SINGLE_PUT:
            self._put(key, file)
        elif not self.exists(key):
            with contextlib.suppress(io.UnsupportedOperation):
                file.flush()
            self._client.upload_fileobj(file, self.bucket, key)

    def put_table(self, folder: str, part: ParquetPart) -> str:
        """Finishes ``part``; stores it as ``<folder><8 hex digits of its SHA-256>.parquet``; returns the key."""
        key = f"{folder}{part.finish()[:8]}.parquet"
        self.upload(key, part.file)
        return key

    def iter_tables(self, key: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of the Parquet object ``key``, in order, by ROW_GROUP at most. Raises LakeError if it is missing."""
        with spool() as file:
            self.download(key, file)
            file.seek(0)
            yield from batches(file, columns)

    def download(self, key: str, file: IO[bytes]) -> None:
        """Writes the content of the object ``key`` to ``file``. Raises LakeError when the object does not exist."""
        size = 0
        for block in self._get(key).iter_chunks(1024 * 1024):
            file.write(block)
            size += len(block)
        self.sizes[key] = size

    def table(self, key: str, columns: list[str] | None = None) -> pa.Table:
        """All rows of the Parquet object ``key``, which has at least one. Raises LakeError when it does not exist."""
        import pyarrow as pa

        return pa.concat_tables(self.iter_tables(key, columns))

    def _get(self, key: str) -> Any:
        try:
            return self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
        except self._client.exceptions.ClientError as error:
            if _code(error) in _ABSENT:
                raise LakeError(f"s3://{self.bucket}/{key} does not exist, but a batch needs it.") from error
            raise

    def _put(self, key: str, body: IO[bytes]) -> bool:
        for pause in (*_CONFLICT_PAUSES, None):
            try:
                body.seek(0)
                self._client.put_object(Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*")
            except self._client.exceptions.ClientError as error:
                if _code(error) == _PRECONDITION:
                    return False
                if _code(error) != _CONFLICT or pause is None:
                    raise
                self._sleep(pause)
            else:
                break
        return True


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
