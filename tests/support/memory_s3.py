# ruff: noqa: N803  # the names are those of the S3 API
"""S3 in memory, versions kept, as far as the pipeline uses it: a hundred times faster than moto.

``test_memory_s3`` compares the answers of both.
"""

from __future__ import annotations

import io
import threading
from bisect import bisect_right, insort
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


class _Body(io.BytesIO):
    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while block := self.read(size):
            yield block


class _Bucket:
    def __init__(self) -> None:
        self.keys: list[str] = []  # sorted
        self.versions: dict[str, list[bytes]] = {}
        self.written: dict[str, datetime] = {}
        self.deleted: list[str] = []

    def put(self, key: str, content: bytes) -> None:
        if key not in self.written:
            insort(self.keys, key)
        self.versions.setdefault(key, []).append(content)
        self.written[key] = datetime.now(UTC)


class MemoryS3:
    """The calls of a boto3 client that the pipeline and its proofs make."""

    exceptions = SimpleNamespace(ClientError=ClientError)

    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._one_at_a_time = threading.Lock()

    def create_bucket(self, Bucket: str, **_: Any) -> None:
        self._buckets[Bucket] = _Bucket()

    def put_bucket_versioning(self, **_: Any) -> None:
        """Versions are always kept."""

    def forget(self, bucket: str) -> None:
        """Frees a bucket and all that is in it."""
        self._buckets.pop(bucket, None)

    def put_object(self, Bucket: str, Key: str, Body: Any, IfNoneMatch: str | None = None, **_: Any) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        with self._one_at_a_time:
            if IfNoneMatch == "*" and Key in bucket.written:
                raise _error("PreconditionFailed", "PutObject", 412)
            bucket.put(Key, Body if isinstance(Body, bytes) else Body.read())
        return {}

    def upload_fileobj(self, file: Any, bucket: str, key: str, **_: Any) -> None:
        with self._one_at_a_time:
            self._buckets[bucket].put(key, file.read())

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        if Key not in bucket.written:
            raise _error("NoSuchKey", "GetObject", 404)
        return {"Body": _Body(bucket.versions[Key][-1]), "LastModified": bucket.written[Key]}

    def head_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        if Key not in bucket.written:
            raise _error("404", "HeadObject", 404)
        return {"ContentLength": len(bucket.versions[Key][-1]), "LastModified": bucket.written[Key]}

    def delete_object(self, Bucket: str, Key: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        if bucket.written.pop(Key, None):
            bucket.keys.remove(Key)
        bucket.deleted.append(Key)
        return {}

    def list_objects_v2(
        self, Bucket: str, Prefix: str = "", StartAfter: str = "", MaxKeys: int = 1000, **_: Any
    ) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        later = bucket.keys[bisect_right(bucket.keys, StartAfter) :]
        found = [key for key in later if key.startswith(Prefix)]
        contents = [
            {"Key": key, "LastModified": bucket.written[key], "Size": len(bucket.versions[key][-1])}
            for key in found[:MaxKeys]
        ]
        answer: dict[str, Any] = {"KeyCount": len(contents), "IsTruncated": len(found) > MaxKeys}
        return {**answer, "Contents": contents} if contents else answer

    def list_object_versions(self, Bucket: str) -> dict[str, Any]:
        bucket = self._buckets[Bucket]
        versions = [{"Key": key} for key, contents in sorted(bucket.versions.items()) for _ in contents]
        return {"Versions": versions, "DeleteMarkers": [{"Key": key} for key in bucket.deleted]}

    def get_paginator(self, operation: str) -> Any:
        """All of an operation as one page."""
        return SimpleNamespace(paginate=lambda **request: [getattr(self, operation)(**request)])


def _error(code: str, operation: str, status: int) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)
