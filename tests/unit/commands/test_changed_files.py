"""The files that a plan names where a function's code differs."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from lambda_script import Change
from lambda_toolkit.changes import Difference
from lambda_toolkit.pipeline.client.changed_files import compare, with_changed_files
from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.spec.model import Kind


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
    """Lambda that returns one address, and counts how often it is asked."""

    def __init__(self, location: str) -> None:
        self.location, self.calls = location, 0

    def call(self, *_: str, **__: str) -> dict[str, Any]:
        self.calls += 1
        return {"Code": {"Location": self.location}}


def test_new_changed_and_missing_files_are_named() -> None:
    live = archive(**{"same.py": "1", "changed.py": "1", "old.py": "1", "x.pyc": "1"})
    desired = archive(**{"same.py": "1", "changed.py": "2", "new.py": "1", "x.pyc": "2"})
    assert list(compare(live, desired)) == ["~ changed.py", "+ new.py", "- old.py"]
    assert list(compare(live, live)) == []


def test_nothing_is_downloaded_unless_code_differs() -> None:
    aws: Any = Lambda("")
    target = Target(load(Path("config/pipeline.toml")), {}, is_local=False)
    for unchanged in (change(archive(), "MemorySize"), change(None, "code")):
        assert with_changed_files(unchanged, aws, target) is unchanged
    assert aws.calls == 0


def test_package_that_cannot_be_read_does_not_fail_the_plan() -> None:
    target = Target(load(Path("config/pipeline.toml")), {}, is_local=False)
    for location in ("", "http://127.0.0.1:1/code.zip", "file:///etc/passwd"):
        aws: Any = Lambda(location)
        [detail] = with_changed_files(change(archive(), "code"), aws, target).details
        assert detail.startswith("which files is not known: ")
