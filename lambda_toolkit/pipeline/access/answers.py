"""An answer as it is written: small ones are in the function's result, and larger ones become an object of S3.

Lambda's results have at most 6 MB (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), and one
query is one snapshot: pages by several invocations would see several. So the rows go to S3 as they are read.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from lambda_toolkit.pipeline.access.messages import Answer, Column
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError

INLINE = 4 * 1024 * 1024  # bytes, which base64 makes a third longer
PART = 8 * 1024 * 1024  # bytes of a part of an upload: S3 takes 5 MiB at least, but of the last
LIMIT = 2 * 1024**3  # bytes, compressed
FORGOTTEN = timedelta(hours=1)  # after which an answer that was not read is removed


class AnswerFile(io.RawIOBase):
    """What an answer is written to. ``bucket`` is None where there is none for large ones."""

    def __init__(self, s3: Any, bucket: str | None, key: str) -> None:
        super().__init__()
        self._s3 = s3
        self._place = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._size = 0
        self._upload: str | None = None
        self._parts: list[dict[str, Any]] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """Takes more bytes. Raises PipelineError for an answer that is larger than LIMIT."""
        added = bytes(content)
        self._size += len(added)
        if self._size > LIMIT:
            raise PipelineError(
                f"The answer is larger than {LIMIT / 1024**3:.0f} GiB. Ask for fewer columns, or for the rows in "
                "several queries."
            )
        self._buffer += added
        if self._size > INLINE and self._upload is None:
            self._begin()
        while self._upload and len(self._buffer) >= PART:
            self._put(bytes(self._buffer[:PART]))
            del self._buffer[:PART]
        return len(added)

    def answer(self, columns: Iterable[Column] = ()) -> Answer:
        """The answer, which is complete."""
        if self._upload is None:
            return Answer(base64.b64encode(self._buffer).decode(), columns=tuple(columns))
        if self._buffer:
            self._put(bytes(self._buffer))
        upload = {"Parts": self._parts}
        self._s3.complete_multipart_upload(**self._place, UploadId=self._upload, MultipartUpload=upload)
        self._upload = None
        return Answer(key=str(self._place["Key"]), columns=tuple(columns))

    def abort(self) -> None:
        """Leaves nothing in the bucket."""
        if self._upload is not None:
            self._s3.abort_multipart_upload(**self._place, UploadId=self._upload)
            self._upload = None

    def _begin(self) -> None:
        if self._place["Bucket"] is None:
            raise PipelineError(
                f"The answer is larger than {INLINE // 1024**2} MiB, which Lambda's limit for results permits, and the "
                "configuration has no bucket `processed` for it. Ask for fewer rows."
            )
        self._upload = str(self._s3.create_multipart_upload(**self._place)["UploadId"])

    def _put(self, content: bytes) -> None:
        number = len(self._parts) + 1
        part = self._s3.upload_part(**self._place, UploadId=self._upload, PartNumber=number, Body=content)
        self._parts.append({"PartNumber": number, "ETag": part["ETag"]})


def remove_forgotten(s3: Any, bucket: str, prefix: str, now: datetime) -> None:
    """Removes the answers below ``prefix`` that were written more than an hour before ``now``."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for found in page.get("Contents", ()):
            if now - found["LastModified"] > FORGOTTEN:
                s3.delete_object(Bucket=bucket, Key=found["Key"])
