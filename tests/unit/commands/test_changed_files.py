"""The files that a plan names where a function's code differs."""

from __future__ import annotations

import hashlib
import hmac
import io
import zipfile
from dataclasses import replace
from functools import reduce
from http.client import IncompleteRead
from pathlib import Path
from typing import Any
from urllib.request import Request

import pytest

from lambda_script import Change, ToolkitError
from lambda_toolkit.changes import Difference
from lambda_toolkit.pipeline.client import changed_files
from lambda_toolkit.pipeline.client.changed_files import compare, with_changed_files
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.spec.model import Kind

TARGET = Target(load(Path("config/pipeline.toml")), {}, is_local=False)
EMPTY = hashlib.sha256(b"").hexdigest()
URL = "https://bucket.s3.eu-west-2.amazonaws.com/snapshots/f?X-Amz-Signature=1&versionId=2"


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return buffer.getvalue()


def change(package: bytes | None, attribute: str) -> Change:
    found = (Difference(attribute, "a", "b"),)
    return Change(Kind.FUNCTION, "f", "update", differences=found, package=package, apply=lambda _: None)


class Lambda:
    """Lambda that returns one address, none, or an error; keeps what it is asked."""

    def __init__(self, location: str | Exception | None) -> None:
        self.location, self.calls = location, list[Any]()

    def call(self, *names: str, **parameters: str) -> dict[str, Any]:
        self.calls.append((*names, parameters))
        if isinstance(self.location, Exception):
            raise self.location
        return {"Code": {} if self.location is None else {"Location": self.location}}


@pytest.fixture
def download(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the address of the package gives, or raises; then the requests that were sent."""
    answers: list[Any] = []

    def urlopen(request: Request, timeout: float) -> io.BytesIO:
        assert timeout > 0, "no plan waits for ever"
        answer, answers[:] = answers[0], [request]
        if isinstance(answer, Exception):
            raise answer
        return io.BytesIO(answer)

    monkeypatch.setattr(changed_files, "urlopen", urlopen)
    return answers


def test_new_changed_and_missing_files_are_named() -> None:
    live = archive(**{"same.py": "1", "changed.py": "1", "old.py": "1", "x.pyc": "1"})
    desired = archive(**{"same.py": "1", "changed.py": "2", "new.py": "1", "x.pyc": "2"})
    assert list(compare(live, desired)) == ["~ changed.py", "+ new.py", "- old.py"]
    assert list(compare(live, live)) == []
    assert list(compare(live, archive(**{"folder/": "", "same.py": "1", "changed.py": "1", "old.py": "1"}))) == []


def test_nothing_is_downloaded_unless_code_differs() -> None:
    aws: Any = Lambda("")
    for unchanged in (change(archive(), "MemorySize"), change(None, "code")):
        assert with_changed_files(unchanged, aws, TARGET) is unchanged
    assert aws.calls == []


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        (0, "none but bytecode, or the order in the archive"),
        (2, "~ n01, ~ n02"),
        (20, ", ".join(f"~ n{number:02}" for number in range(1, 21))),
        (22, ", ".join(f"~ n{number:02}" for number in range(1, 21)) + ", ... and 2 more"),
    ],
)
def test_names_of_files_follow_the_other_details(download: list[Any], changed: int, shown: str) -> None:
    live, desired = (archive(**{f"n{number:02}": text for number in range(1, changed + 1)}) for text in "ab")
    download.append(live)
    aws: Any = Lambda(URL)
    code = change(desired, "code")
    memory = Difference("MemorySize", "1", "2")
    found = with_changed_files(replace(code, differences=(memory, *code.differences), details=("d",)), aws, TARGET)
    assert found.details == ("d", f"files: {shown}")
    assert aws.calls == [("lambda", "get_function", {"FunctionName": "f"})]
    [request] = download
    assert (request.full_url, request.headers) == (URL, {}), "the address is presigned"


def test_package_of_the_local_stack_is_asked_for_with_its_keys(download: list[Any]) -> None:
    """The stack ignores a presigned address: the request has a signature of version 4, computed here step by step."""
    download.append(archive(a="1"))
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    aws: Any = Lambda("http://127.0.0.1:4566/code/f.zip?a=b?c")
    found = with_changed_files(change(archive(a="2"), "code"), aws, replace(TARGET, environ=keys, is_local=True))
    assert found.details == ("files: ~ a",)
    [request] = download
    assert request.full_url == "http://127.0.0.1:4566/code/f.zip"
    at = request.headers["X-amz-date"]
    sent = f"GET\n/code/f.zip\n\nhost:127.0.0.1:4566\nx-amz-date:{at}\n\nhost;x-amz-date\n{EMPTY}"
    place = (at[:8], "eu-west-2", "lambda", "aws4_request")
    text = f"AWS4-HMAC-SHA256\n{at}\n{'/'.join(place)}\n{hashlib.sha256(sent.encode()).hexdigest()}"

    def signed(key: bytes, part: str) -> bytes:
        return hmac.new(key, part.encode(), hashlib.sha256).digest()

    assert request.headers["Authorization"] == (
        f"AWS4-HMAC-SHA256 Credential=local/{'/'.join(place)}, SignedHeaders=host;x-amz-date, "
        f"Signature={reduce(signed, (*place, text), b'AWS4s3cret').hex()}"
    )


@pytest.mark.parametrize(
    ("location", "answer", "why"),
    [
        (None, None, "Lambda returned no address of the deployed package"),
        ("", None, "Lambda returned no address of the deployed package"),
        ("file:///etc/passwd", None, "Lambda returned no address of the deployed package"),
        (ToolkitError("no right."), None, "no right."),
        (URL, OSError("no route"), "no route"),
        (URL, IncompleteRead(b""), "IncompleteRead(0 bytes read)"),
        (URL, b"no archive", "File is not a zip file"),
    ],
)
def test_package_that_cannot_be_read_does_not_fail_the_plan(
    download: list[Any], location: Any, answer: Any, why: str
) -> None:
    download.append(answer)
    aws: Any = Lambda(location)
    found = with_changed_files(replace(change(archive(), "code"), details=("d",)), aws, TARGET)
    assert found.details == ("d", f"which files is not known: {why}")


def test_defect_of_reading_a_package_is_raised(download: list[Any]) -> None:
    download.append(ZeroDivisionError())
    for location in (URL, ZeroDivisionError()):
        aws: Any = Lambda(location)
        with pytest.raises(ZeroDivisionError):
            with_changed_files(change(archive(), "code"), aws, TARGET)
