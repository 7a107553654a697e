"""An answer of the function ``access``: in the result while it is small, in parts of an object of S3 beyond that."""

from __future__ import annotations

import base64
import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.access import answers, packing
from lambda_toolkit.pipeline.access.answers import AnswerFile, remove_forgotten
from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from tests.support.repository import REPOSITORY

PLACE = {"Bucket": "bucket", "Key": "key"}
INLINE, PART, LIMIT = answers.INLINE, answers.PART, answers.LIMIT
LAMBDAS = 6_291_556  # bytes: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html


class S3:
    """Keeps what it is asked to do; uploads are called ``u``, parts by their number."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.objects = objects

    def __getattr__(self, operation: str) -> Any:
        def call(**parameters: Any) -> dict[str, Any]:
            self.asked.append((operation, parameters))
            return {"UploadId": "u", "ETag": f"e{parameters.get('PartNumber')}"}

        return call

    def get_paginator(self, operation: str) -> Any:
        self.asked.append((operation,))
        pages = [{}, {"Contents": self.objects}]
        return SimpleNamespace(paginate=lambda **named: self.asked.append(("paginate", named)) or pages)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("INLINE", 10), ("PART", 4), ("LIMIT", 20)):
        monkeypatch.setattr(answers, name, value)


def test_small_answer_is_in_the_result() -> None:
    s3 = S3()
    file = AnswerFile(s3, None, "key")
    assert [file.write(b"12345"), file.write(memoryview(b"67890"))] == [5, 5] and file.writable()
    answer = file.answer()
    assert (answer.key, base64.b64decode(answer.content or "")) == (None, b"1234567890")
    file.abort()
    assert s3.asked == [], "there is nothing to give up"


def test_large_answer_is_an_object_in_parts() -> None:
    s3 = S3()
    file = AnswerFile(s3, "bucket", "key")
    for content in (b"1234567890", b"A", b"BCDE", b"F"):
        file.write(content)
    answer = file.answer()
    assert (answer.key, answer.content) == ("key", None)
    upload = {**PLACE, "UploadId": "u"}
    contents = [b"1234", b"5678", b"90AB", b"CDEF"]
    assert s3.asked == [
        ("create_multipart_upload", PLACE),
        *(("upload_part", {**upload, "PartNumber": n, "Body": body}) for n, body in enumerate(contents, 1)),
        (
            "complete_multipart_upload",
            {**upload, "MultipartUpload": {"Parts": [{"PartNumber": n, "ETag": f"e{n}"} for n in range(1, 5)]}},
        ),
    ]
    file.abort()
    assert s3.asked[-1][0] == "complete_multipart_upload"


def test_last_part_may_be_smaller_and_what_fails_is_given_up() -> None:
    s3 = S3()
    file = AnswerFile(s3, "bucket", "key")
    file.write(b"x" * 13)
    file.abort()
    file.abort()
    assert [asked[0] for asked in s3.asked] == [
        *("create_multipart_upload", "upload_part", "upload_part", "upload_part", "abort_multipart_upload"),
    ]
    assert s3.asked[-1][1] == {**PLACE, "UploadId": "u"}
    other = AnswerFile(s3 := S3(), "bucket", "key")
    other.write(b"x" * 13)
    other.answer()
    assert s3.asked[-2][1]["Body"] == b"x"


def test_answer_has_a_limit_and_a_large_one_needs_a_bucket() -> None:
    file = AnswerFile(S3(), "bucket", "key")
    file.write(b"x" * 20)
    with pytest.raises(PipelineError, match="larger than 0 GiB"):
        file.write(b"x")
    with pytest.raises(PipelineError, match="no bucket `processed`"):
        AnswerFile(S3(), None, "key").write(b"x" * 11)


def test_limits_fit_those_of_lambda_and_s3() -> None:
    """A result in base64; parts of 5 MiB at least, and 10,000 at most; a limit that the documents give."""
    assert LAMBDAS // 2 < len(base64.b64encode(bytes(INLINE))) < LAMBDAS - 100_000
    assert PART >= 5 * 1024 * 1024 and LIMIT / PART <= 10_000
    [documented] = re.findall(
        r"up to (\d+) GiB compressed", (REPOSITORY / "docs" / "networks.md").read_text(encoding="utf-8")
    )
    assert int(documented) * 1024**3 == LIMIT


def test_answers_of_an_hour_ago_are_removed() -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    ages = {"old": timedelta(hours=1, seconds=1), "new": timedelta(hours=1), "now": timedelta(0)}
    s3 = S3(*({"Key": key, "LastModified": now - age} for key, age in ages.items()))
    remove_forgotten(s3, "bucket", "answers/", now)
    assert s3.asked == [
        ("list_objects_v2",),
        ("paginate", {"Bucket": "bucket", "Prefix": "answers/"}),
        ("delete_object", {"Bucket": "bucket", "Key": "old"}),
    ]


# -------------------------------------------------------------------------------------------------------------- packing


def test_packed_object_is_the_same_again() -> None:
    document = {"a": ["é", "\udcff", 1.5], "b": None}
    assert packing.unpack(packing.pack(document), "It") == document


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("§", "It is not a packed document: it is not base64."),
        ("AAA", "It is not a packed document: it is not base64."),
        ("YWJj", "It is not a packed document: error."),
        (in_base64(zlib.compress(b"{")), "It is not a packed document: JSONDecodeError."),
        (in_base64(zlib.compress(b'{"a": 1}')[:-3]), "It is not a packed document: its end is missing."),
        (packing.pack([1]), "It must be a packed object, not list."),  # type: ignore[arg-type]
    ],
)
def test_text_that_is_not_packed_is_refused(text: str, says: str) -> None:
    with pytest.raises(PipelineError) as refused:
        packing.unpack(text, "It")
    assert str(refused.value) == says


def test_packed_document_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "LARGEST", 100)
    for length, taken in ((98, True), (99, False)):
        content = zlib.compress(json.dumps("x" * length).encode())
        if taken:
            assert packing.decompressed(content, "It") == "x" * length
        else:
            with pytest.raises(PipelineError, match="It has more than 100 bytes"):
                packing.decompressed(content, "It")


def test_value_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(PipelineError, match="A value of the type set cannot be in an answer"):
        packing.to_json([{1}])
    for value in ({"other": 1}, {}, {"date": "2026-01-01", "json": {}}, [{"x": 1}]):
        with pytest.raises(PipelineError, match="type that is not known here"):
            packing.from_json(value)
