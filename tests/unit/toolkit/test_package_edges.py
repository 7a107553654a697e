"""What a package and a layer are known by, whose bytes are whose, and edges of what is collected."""

from __future__ import annotations

import hashlib
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import function_zip, layer_zip
from lambda_toolkit.packaging.archive import Entry, code_sha256, content_digest, entry_of, write_archive
from lambda_toolkit.packaging.function_zip import Package, build
from lambda_toolkit.packaging.layer_zip import LayerSpec
from lambda_toolkit.resources.functions import release, settings
from lambda_toolkit.resources.planning.invoke_permission import Permission
from lambda_toolkit.resources.triggers import s3_notification
from lambda_toolkit.spec.model import FunctionSpec
from lambda_toolkit.spec.triggers.s3 import S3Trigger
from tests.support.function_sources import HANDLER, names, write


def package(**different: Any) -> Package:
    given = {"content": b"", "sha256": "new=", "handler": "a.b", "unzipped": 0, "sizes": {}, "digest": "d" * 64}
    return Package(**{**given, **different})


COMPILED, PLAIN = f"{'d' * 32}/pyc/live=", f"{'d' * 32}/py/live="


@pytest.mark.parametrize(
    ("own", "live", "fingerprint", "deployed"),
    [
        (package(), "new=", "", True),
        (package(), "live=", "", False),
        (package(), "live=", COMPILED, True),
        (package(), "live=", PLAIN, True),
        (package(has_bytecode=True), "live=", COMPILED, True),
        (package(has_bytecode=True), "live=", PLAIN, False),
        (package(digest="e" * 64), "live=", COMPILED, False),
        (package(), "other=", COMPILED, False),
    ],
)
def test_package_is_deployed_where_its_sources_are(own: Package, live: str, fingerprint: str, deployed: bool) -> None:
    assert own.is_deployed(live, fingerprint) is deployed
    found = own.as_deployed(live, fingerprint)
    if deployed and live != own.sha256:
        assert (found.sha256, found.has_bytecode) == (live, "pyc" in fingerprint)
    else:
        assert found is own


def test_fingerprint_is_a_stored_format() -> None:
    assert package().fingerprint == f"{'d' * 32}/py/new="
    assert package(has_bytecode=True).fingerprint == f"{'d' * 32}/pyc/new="


def test_package_says_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_toolkit.packaging.bytecode.find_interpreter", lambda runtime: None)
    source = write(tmp_path / "s", {"handler.py": HANDLER, "a.txt": "123"})
    found = build(FunctionSpec("f", source))
    assert found.sizes == {"handler.py": len(HANDLER), "a.txt": 3}
    assert (found.unzipped, found.has_bytecode) == (len(HANDLER) + 3, False)
    assert set(found.sources) == {"handler.py", "a.txt"}
    assert (found.sha256, found.digest) == (code_sha256(found.content), content_digest(found.sources))
    note = function_zip.bytecode_note(FunctionSpec("f", source, runtime="python3.12"))
    assert note is not None and note.startswith("`f` has no bytecode") and "uv python install 3.12" in note
    monkeypatch.setattr("lambda_toolkit.packaging.bytecode.find_interpreter", lambda runtime: Path("python"))
    assert function_zip.bytecode_note(FunctionSpec("f", source)) is None


def test_hashes_are_those_of_the_formats() -> None:
    """Lambda's hash is SHA-256 in base64; that of the contents names files, modes and sizes."""
    assert code_sha256(b"") == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    base = content_digest({"a": Entry(b"1"), "b": Entry(b"")})
    assert base == content_digest({"b": Entry(b""), "a": Entry(b"1")})
    for other in ({"a": Entry(b"1")}, {"a": Entry(b"1", True), "b": Entry(b"")}, {"a": Entry(b""), "b": Entry(b"1")}):
        assert content_digest(other) != base
    assert content_digest({"a": Entry(b"1b 0 0\n")}) != content_digest({"a": Entry(b"1"), "b": Entry(b"")})


def test_names_and_digests_are_stored_formats() -> None:
    """Another one would publish every layer, or release every function, once more."""

    def sha256(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    layer = LayerSpec(("a==1",), "python3.12", "arm64", "aarch64-manylinux_2_34", ("x/**",))
    parts = '[2, ["a==1"], "python3.12", "arm64", "aarch64-manylinux_2_34", ["x/**"], true]'
    assert (layer.digest, layer.name) == (sha256(parts), f"lambda-script-requirements-{sha256(parts)[:16]}")
    assert content_digest({"b": Entry(b"\0", True), "a": Entry(b"12")}) == sha256("1 a 0 2\n121 b 1 1\n\0")
    assert release.digest({"b": 1, "a": "x"}, "hash", "") == sha256('[{"a": "x", "b": 1}, "hash", ""]')[:16]
    assert settings.digest({"b": [1], "a": {}}) == sha256('{"a": {}, "b": [1]}')[:16]
    entry = s3_notification._entry("arn", "f", S3Trigger("lake", "in/", ".csv", ("s3:b", "s3:a")))
    assert entry["Id"] == "lambda-script:f:" + sha256('["in/", ".csv", ["s3:a", "s3:b"]]')[:8]
    permission = Permission("s3", "s3.amazonaws.com", "arn:aws:s3:::lake", "1")
    assert permission.statement_id == f"lambda-script-s3-{sha256('arn:aws:s3:::lake')[:8]}"


def test_large_archive_is_deflated_and_a_small_one_is_not() -> None:
    for size, method in ((1024 * 1024, zipfile.ZIP_STORED), (1024 * 1024 + 1, zipfile.ZIP_DEFLATED)):
        archive = zipfile.ZipFile(io.BytesIO(write_archive({"b": Entry(bytes(size - 1)), "a": Entry(b"x", True)})))
        first, second = archive.infolist()
        assert [first.filename, second.filename] == ["a", "b"]
        assert {each.compress_type for each in (first, second)} == {method}
        assert {each.date_time for each in (first, second)} == {(1980, 1, 1, 0, 0, 0)}
        assert {each.create_system for each in (first, second)} == {3}
        assert [stat.filemode(each.external_attr >> 16) for each in (first, second)] == ["-rwxr-xr-x", "-rw-r--r--"]


@pytest.mark.parametrize(
    ("name", "content", "mode", "executable"),
    [
        ("tool", b"#!/bin/sh", 0o755, True),
        ("tool", b"\x7fELF", 0o755, True),
        ("tool", b"#!/bin/sh", 0o644, False),
        ("tool", b"text", 0o755, False),
        ("tool.py", b"#!/bin/sh", 0o755, False),
    ],
)
def test_program_is_what_begins_like_one(
    tmp_path: Path, name: str, content: bytes, mode: int, executable: bool
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    file.chmod(mode)
    assert entry_of(file, content) == Entry(content, executable)


def test_folder_has_a_limit_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function_zip, "_MOST_FILES", 3)
    source = write(tmp_path / "s", {"handler.py": HANDLER, "a/1.txt": "", "a/2.txt": ""})
    assert len(names(source)) == 3
    write(source, {"b/3.txt": ""})
    with pytest.raises(PackageError, match="has more than 3 files"):
        build(FunctionSpec("f", source))


def test_handler_of_a_package_in_a_folder(tmp_path: Path) -> None:
    source = write(tmp_path / "s", {"pack/__init__.py": "main = print\n", "pack/sub.py": HANDLER, "app.py": HANDLER})
    for handler in ("pack.main", "pack.sub.lambda_handler", "app.lambda_handler"):
        assert build(FunctionSpec("f", source, handler=handler)).handler == handler
    for handler, says in (
        ("pack.other", "pack/__init__.py defines no `other`"),
        ("nothere.main", "has no module nothere.py"),
        ("main", "has no module main.py"),
    ):
        with pytest.raises(PackageError) as refused:
            build(FunctionSpec("f", source, handler=handler))
        assert says in str(refused.value)
    unknown = FunctionSpec("f", source, handler="nothere.main", requirements=("x",))
    assert build(unknown).handler == "nothere.main"
    with pytest.raises(PackageError, match="has no module main.py"):
        build(FunctionSpec("f", source, handler="main", requirements=("x",)))
    assert build(FunctionSpec("f", source / "pack")).handler == "pack.sub.lambda_handler"
    usual = write(tmp_path / "u", {"lambda_function.py": HANDLER, "handler.py": HANDLER, "z.py": ""})
    assert build(FunctionSpec("f", usual)).handler == "lambda_function.lambda_handler"


SHARED = {
    "a-1.0.dist-info/RECORD": 'a/__init__.py,sha256=x,1\n"a/with,comma.py",,\nb.py,,\n',
    "big_name-2.5-rc1.dist-info/RECORD": "c/d.py,,\n",
}


def test_bytes_of_a_layer_belong_to_distributions(tmp_path: Path) -> None:
    installed = write(tmp_path, SHARED)
    files = {
        "a/__init__.py": 10,
        "a/__pycache__/__init__.cpython-312.pyc": 5,
        "a/with,comma.py": 1,
        "b.py": 2,
        "__pycache__/b.cpython-312.pyc": 3,
        "c/d.py": 7,
        "c/other.txt": 4,
        "alone.txt": 1,
    }
    assert layer_zip._sizes_of(installed, files) == {"a 1.0": 21, "big_name 2.5-rc1": 7, "c": 4, "alone.txt": 1}
    entries = {f"python/{name}": Entry(bytes(size)) for name, size in files.items()}
    assert layer_zip._facts(installed, entries) == {
        "unzipped": 33,
        "largest": [("a 1.0", 21), ("big_name 2.5-rc1", 7), ("c", 4), ("alone.txt", 1)],
    }
    many = {f"python/{number:02}/x": Entry(bytes(5)) for number in range(12)}
    largest: Any = layer_zip._facts(tmp_path / "none", many)["largest"]
    assert [name for name, _ in largest] == [f"{number:02}" for number in range(10)]


def test_layer_of_this_machine_is_installed_without_a_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, Any]] = []

    def install(listed: Path, target: Path, **options: Any) -> None:
        asked.append({"lines": listed.read_text(encoding="utf-8"), "target": target, **options})

    monkeypatch.setattr("lambda_toolkit.packaging.uv.install", install)
    for platform in ("host-linux-x86_64", "aarch64-manylinux2014"):
        spec = LayerSpec(("a==1", "b @ https://u:p@h/b.whl"), "python3.12", "arm64", platform)
        layer_zip._install(spec, tmp_path / "python")
    here, there = asked
    assert (here["version"], here["platform"]) == (None, None)
    assert (there["version"], there["platform"]) == ("3.12", "aarch64-manylinux2014")
    assert here["lines"] == "a==1\nb @ https://u:p@h/b.whl\n"
    assert "u:p" not in there["what"] and "python3.12 on aarch64-manylinux2014" in there["what"]


def test_modules_of_a_layer_are_those_of_its_archive(tmp_path: Path) -> None:
    files = ("python/a/__init__.py", "python/a/__pycache__/x.cpython-312.pyc", "python/b.py", "python/c/d.so")
    (tmp_path / "layer.zip").write_bytes(write_archive({name: Entry(b"") for name in files}))
    assert layer_zip.modules_of(tmp_path / "layer.zip") == {"a", "a/", "b", "c/", "c/d"}


def test_layer_needs_bytecode_or_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_zip, "can_compile_for", lambda runtime: False)
    spec = LayerSpec(("a",), "python3.12", "x86_64", "any")
    with pytest.raises(PackageError, match=r"No Python on this machine compiles for python3\.12"):
        layer_zip.build_layer(spec, tmp_path)
    assert layer_zip.cached_layer(spec, tmp_path) is None
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / f"{spec.name}.zip").write_bytes(b"12345")
    assert layer_zip.cached_layer(spec, tmp_path) is None, "half of it is none"
    facts = '{"unzipped": 9, "largest": [["a 1", 7]]}'
    (tmp_path / "layers" / f"{spec.name}.json").write_text(facts, encoding="utf-8")
    found = layer_zip.build_layer(spec, tmp_path)
    assert (found.zipped, found.unzipped, found.largest) == (5, 9, (("a 1", 7),))
    assert spec.name.startswith("lambda-script-requirements-") and len(spec.name) == 27 + 16
