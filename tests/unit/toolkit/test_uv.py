"""What uv is asked for, and its errors in words."""

from __future__ import annotations

import json
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import uv

REPORT = """#!{python} -IS
import json, os, sys
with open({log!r}, "w") as log:
    json.dump([sys.argv[1:], sys.stdin.read(), os.environ.get("UV_SYSTEM_CERTS")], log)
print("one==1.0")
sys.stderr.write({error!r})
sys.exit({status})
"""


class FakeUv:
    """A program in place of uv, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "uv"
        self._log = folder / "asked.json"
        self.answers()

    def answers(self, status: int = 0, error: str = "") -> None:
        text = REPORT.format(python=sys.executable, log=str(self._log), error=error, status=status)
        self.path.write_text(text, encoding="utf-8")
        self.path.chmod(0o755)

    @property
    def asked(self) -> tuple[list[str], str, str | None]:
        arguments, given, certificates = json.loads(self._log.read_text(encoding="utf-8"))
        return arguments, given, certificates


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeUv:
    made = FakeUv(tmp_path)
    monkeypatch.setattr(uv, "find_uv", lambda: str(made.path))
    return made


@pytest.mark.parametrize(
    ("version", "platform", "expected"),
    [
        ("3.13", "aarch64-manylinux2014", {"--python-version": "3.13", "--python-platform": "aarch64-manylinux2014"}),
        (None, None, {}),
        ("3.13", None, {}),
    ],
)
def test_wheels_of_the_platform_are_installed(
    fake: FakeUv, tmp_path: Path, version: str | None, platform: str | None, expected: dict[str, str]
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("one\n", encoding="utf-8")
    uv.install(file, tmp_path / "target", version=version, platform=platform, what="It fails:")
    arguments, _, _ = fake.asked
    assert arguments == [
        *("pip", "install", "--quiet", "--color", "never", "--target", str(tmp_path / "target")),
        *("--only-binary", ":all:", "--link-mode", "copy", "--python", sys.executable),
        *(part for option in expected.items() for part in option),
        *("-r", str(file)),
    ]
    file.write_text("one==1.0 --hash=sha256:00\n", encoding="utf-8")
    uv.install(file, tmp_path / "target", version=version, platform=platform, what="It fails:")
    assert "--require-hashes" in fake.asked[0]


def test_what_cannot_be_installed_begins_with_what(fake: FakeUv, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("one\n", encoding="utf-8")
    fake.answers(1, "error: no network\n")
    with pytest.raises(PackageError, match=r"^It fails:\nerror: no network$"):
        uv.install(file, tmp_path / "target", version=None, platform=None, what="It fails:")
    with pytest.raises(PackageError, match=r"^The requirements one, two cannot be locked:\nerror: no network$"):
        uv.lock_requirements(["one", "two"], python="3.11")


def test_lock_has_hashes_of_all_platforms(fake: FakeUv) -> None:
    assert uv.lock_requirements(["one>=1", "two"], python="3.11") == "one==1.0\n"
    arguments, given, _ = fake.asked
    assert arguments == [
        *("pip", "compile", "--quiet", "--color", "never", "--universal", "--generate-hashes", "--no-header"),
        *("--no-annotate", "--only-binary", ":all:", "--python-version", "3.11", "-"),
    ]
    assert given == "one>=1\ntwo\n"


def test_without_uv_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(uv, "find_uv", lambda: None)
    with pytest.raises(PackageError, match="pip install uv"):
        uv.lock_requirements(["one"], python="3.11")
    with pytest.raises(PackageError, match="pip install uv"):
        uv.install(tmp_path / "none", tmp_path, version=None, platform=None, what="")


def test_uv_beside_this_python_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    on_path = tmp_path / "uv"
    on_path.write_text("", encoding="utf-8")
    on_path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "uv", SimpleNamespace(find_uv_bin=lambda: Path("/own/uv")))
    assert uv.find_uv() == "/own/uv"

    def missing() -> Path:
        raise FileNotFoundError

    monkeypatch.setitem(sys.modules, "uv", SimpleNamespace(find_uv_bin=missing))
    assert uv.find_uv() == str(on_path)
    monkeypatch.setitem(sys.modules, "uv", None)  # as where it is not installed
    assert uv.find_uv() == str(on_path)
    monkeypatch.setenv("PATH", "")
    assert uv.find_uv() is None


@pytest.mark.parametrize(
    ("file", "folder", "own", "expected"),
    [("/ca.pem", None, None, "1"), (None, "/ca", None, "1"), (None, None, None, None), ("/ca.pem", "/ca", "0", "0")],
)
def test_uv_trusts_the_certificates_of_the_system(
    monkeypatch: pytest.MonkeyPatch, file: str | None, folder: str | None, own: str | None, expected: str | None
) -> None:
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: SimpleNamespace(cafile=file, capath=folder))
    monkeypatch.delenv("UV_SYSTEM_CERTS", raising=False)
    if own:
        monkeypatch.setenv("UV_SYSTEM_CERTS", own)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    found = uv.uv_environment()
    assert (found.get("UV_SYSTEM_CERTS"), found["HTTPS_PROXY"]) == (expected, "http://proxy")


TAGS = ", ".join(f"`cp31{number}`" for number in range(5))
ERRORS = (
    ("Wheels are required for `a-b.c` because", "- a-b.c is published as source only"),
    (
        "hint: Wheels are available for `one` (v1.0) on the following platforms: `linux_x86_64`, `mac` hint: more",
        "- one 1.0 has no wheel for this architecture and its C library; it has some for linux_x86_64, mac. Try",
    ),
    ("Wheels are available for `one` (v2) on the following platform: `mac`", "it has some for mac. Try"),
    (
        f"You require CPython 3.13 (`cp313`), but we only found wheels for `one` (v1.0) with the following Python "
        f"ABI tags: {TAGS}",
        "- one 1.0 has no wheel for CPython 3.13; it has some for cp310, cp311, cp312, cp313, .... Try",
    ),
    (
        "You require CPython 3.13 (`cp313`), but we only found wheels for `one` (v1.0) with the following Python "
        "version tag: `cp311`",
        "it has some for cp311. Try",
    ),
    ("Because one was not found in the package registry", "- one is not in the package index."),
    ("and other was not found in the provided package locations", "- other is not in the package index."),
    (
        "Because only one<=2 is available and you require one>=3, we can",
        "- one>=3 is required, and only one<=2 is available for this platform.",
    ),
    (
        "Because only one is available and parent==1.0 requires one==3, we can",
        "- one==3 is required, and only one is available",
    ),
)


@pytest.mark.parametrize(("output", "says"), ERRORS)
def test_error_of_uv_is_explained_in_one_line(output: str, says: str) -> None:
    broken = output.replace(" ", "\n   ", 3)
    found = uv.explained(f"  x No solution found\n{broken}\n{broken}\n")
    assert says in found
    assert "\n" not in found, "each reason once"


def test_other_errors_are_their_last_lines_without_secrets() -> None:
    lines = [f"line {number} of https://me:secret@index/simple" for number in range(13)]
    assert uv.explained("\n".join(lines) + "\n\n").splitlines() == [
        f"line {number} of https://***@index/simple" for number in range(1, 13)
    ]


def test_requirements_are_shown_without_options_and_secrets() -> None:
    given = ["--index-url https://a:b@c", "one==1 --hash=sha256:0a --hash sha256:0b", "two @ ssh://git@host/x"]
    assert uv.shown(given) == "one==1, two @ ssh://***@host/x"
