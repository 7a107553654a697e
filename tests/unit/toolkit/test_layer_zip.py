"""Layers of requirements, installed from wheels that the tests build, without network."""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import layer_zip
from lambda_toolkit.packaging.excludes import glob_pattern
from lambda_toolkit.packaging.layer_zip import (
    LayerSpec,
    build_layer,
    lambda_platform,
    layer_of,
)
from lambda_toolkit.packaging.uv import cache_folder, shown
from lambda_toolkit.spec.declaration.requirements_file import normalized, read_requirements
from lambda_toolkit.spec.model import THIS_RUNTIME, FunctionSpec
from tests.support.wheels import wheel

OTHER_RUNTIME = "python3.13" if THIS_RUNTIME != "python3.13" else "python3.12"


@pytest.fixture
def spec(tmp_path: Path) -> LayerSpec:
    one = wheel(tmp_path, "one", {"one/__init__.py": "import two\n", "one/big/data.bin": "x" * 5000, "one/a.pyx": ""})
    boto3 = wheel(tmp_path, "boto3", {"boto3/__init__.py": "", "boto3/session.py": ""})
    return LayerSpec((one, boto3), THIS_RUNTIME, "x86_64", lambda_platform(THIS_RUNTIME, "x86_64"), ("one/*.pyx",))


def contents(path: Path) -> list[str]:
    return zipfile.ZipFile(path).namelist()


def test_a_layer_holds_what_is_asked_for_with_its_bytecode(spec: LayerSpec, tmp_path: Path) -> None:
    layer = build_layer(spec, tmp_path / "cache")
    tag = sys.implementation.cache_tag
    assert contents(layer.path) == [
        "python/boto3-1.0.dist-info/METADATA",
        "python/boto3-1.0.dist-info/WHEEL",
        "python/boto3-1.0.dist-info/entry_points.txt",
        "python/boto3/__init__.py",
        f"python/boto3/__pycache__/__init__.{tag}.pyc",
        f"python/boto3/__pycache__/session.{tag}.pyc",
        "python/boto3/session.py",
        "python/one-1.0.dist-info/METADATA",
        "python/one-1.0.dist-info/WHEEL",
        "python/one-1.0.dist-info/entry_points.txt",
        "python/one/__init__.py",
        f"python/one/__pycache__/__init__.{tag}.pyc",
        "python/one/big/data.bin",
    ]
    assert layer.largest[0][0] == "one 1.0"
    assert layer.unzipped > 5000
    assert layer.zipped == layer.path.stat().st_size


def test_layer_excludes_the_runtimes_packages_unless_required(spec: LayerSpec, tmp_path: Path) -> None:
    needs_boto3 = wheel(tmp_path, "needy", {"needy.py": ""})
    tree = tmp_path / "tree"
    for file in ("boto3/__init__.py", "boto3-1.0.dist-info/METADATA", "botocore/x.py", "needy.py", "boto3_stubs/x.py"):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).write_text("", encoding="utf-8")
    asked = LayerSpec(("boto3", needs_boto3), OTHER_RUNTIME, "x86_64", "any", bytecode=False)
    not_asked = LayerSpec((needs_boto3,), OTHER_RUNTIME, "x86_64", "any", bytecode=False)
    assert sorted(layer_zip._tree(tree, not_asked)) == ["python/boto3_stubs/x.py", "python/needy.py"]
    assert "python/boto3/__init__.py" in layer_zip._tree(tree, asked)
    assert "python/botocore/x.py" not in layer_zip._tree(tree, asked)


def test_the_same_bytes_twice(spec: LayerSpec, tmp_path: Path) -> None:
    hashes = {hashlib.sha256(build_layer(spec, tmp_path / cache).path.read_bytes()).hexdigest() for cache in ("a", "b")}
    assert len(hashes) == 1


def test_what_was_built_is_not_installed_again(spec: LayerSpec, tmp_path: Path, monkeypatch) -> None:
    first = build_layer(spec, tmp_path / "cache")
    monkeypatch.setattr(layer_zip, "_install", lambda *_: pytest.fail("installed again"))
    assert build_layer(spec, tmp_path / "cache") == first
    assert sorted(path.name for path in first.path.parent.iterdir()) == [f"{spec.name}.json", f"{spec.name}.zip"]


def test_a_layer_without_bytecode_has_another_name(tmp_path: Path) -> None:
    one = wheel(tmp_path, "one", {"one.py": ""})
    spec = LayerSpec((one,), OTHER_RUNTIME, "arm64", lambda_platform(OTHER_RUNTIME, "arm64"), bytecode=False)
    assert not [name for name in contents(build_layer(spec, tmp_path / "cache").path) if name.endswith(".pyc")]
    assert spec.name != replace(spec, bytecode=True).name


def test_what_cannot_be_installed_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    spec = LayerSpec(
        (f"missing @ {(tmp_path / 'missing-1.0-py3-none-any.whl').as_uri()}",),
        THIS_RUNTIME,
        "x86_64",
        "x86_64-manylinux2014",
    )
    with pytest.raises(PackageError) as refused:
        build_layer(spec, tmp_path / "cache")
    assert "from wheels alone" in str(refused.value)
    assert "missing-1.0-py3-none-any.whl" in str(refused.value)
    assert list((tmp_path / "cache" / "layers").iterdir()) == []


def test_the_name_follows_from_what_was_asked_for() -> None:
    def name(**different: object) -> str:
        given = {"requirements": ("b==1", "a"), **different}
        layer = layer_of(FunctionSpec("f", Path("f.py"), **given))  # type: ignore[arg-type]
        assert layer is not None
        return layer.name

    assert name() == name(requirements=("a  # comment", "", "b==1", "a"))
    others = [
        name(requirements=("a", "b==2")),
        name(runtime=OTHER_RUNTIME),
        name(architecture="arm64"),
        name(platform="host"),
        name(requirements_exclude=("a/**",)),
    ]
    assert len({name(), *others}) == 6
    assert layer_of(FunctionSpec("f", Path("f.py"), requirements=("# nothing",))) is None


@pytest.mark.parametrize(
    ("runtime", "architecture", "platform"),
    [
        ("python3.11", "x86_64", "x86_64-manylinux2014"),
        ("python3.12", "x86_64", "x86_64-manylinux_2_34"),
        ("python3.11", "arm64", "aarch64-manylinux2014"),
        ("python3.14", "arm64", "aarch64-manylinux_2_34"),
    ],
)
def test_platforms(runtime: str, architecture: str, platform: str) -> None:
    assert lambda_platform(runtime, architecture) == platform


@pytest.mark.parametrize(("platform", "expected"), [("", "aarch64-manylinux2014"), ("any", "any"), ("host", "host-")])
def test_layer_is_for_the_platform_of_the_function(platform: str, expected: str) -> None:
    spec = FunctionSpec("f", Path("f.py"), runtime="python3.11", architecture="arm64", requirements=("a",))
    layer = layer_of(replace(spec, platform=platform, requirements_exclude=("y", "x", "y")))
    assert layer is not None
    assert (layer.runtime, layer.architecture, layer.exclude) == ("python3.11", "arm64", ("x", "y"))
    assert layer.platform.startswith(expected) if platform == "host" else layer.platform == expected


@pytest.mark.parametrize(
    ("glob", "name", "matches"),
    [
        ("pyarrow/include/**", "pyarrow/include/a/b.h", True),
        ("pyarrow/_flight*", "pyarrow/_flight.so", True),
        ("pyarrow/_flight*", "pyarrow/_flight/x.py", False),
        ("pyarrow/*.h", "pyarrow/sub/x.h", False),
        ("**/*.pyc", "a/b/c.pyc", True),
        ("**/*.pyc", "c.pyc", True),
        ("a?c.py", "abc.py", True),
        ("a.c", "abc", False),
        ("one", "one/two", False),
    ],
)
def test_globs(glob: str, name: str, matches: bool) -> None:
    assert bool(re.fullmatch(glob_pattern([glob]), name)) is matches


def test_requirements_files(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("# a comment\nb == 2  # why\n\na[x]>=1 \\\n    ; python_version > '3'\n", encoding="utf-8")
    assert read_requirements(file) == ("a[x]>=1 ; python_version > '3'", "b == 2")
    with pytest.raises(PackageError, match="Cannot read the requirements"):
        read_requirements(tmp_path / "none.txt")
    assert normalized(["x @ https://h/p.whl#sha256=1"]) == ("x @ https://h/p.whl#sha256=1",)


def test_where_the_cache_is() -> None:
    assert cache_folder({"LAMBDA_SCRIPT_CACHE": "/c"}) == Path("/c")
    assert cache_folder({"XDG_CACHE_HOME": "/x"}) == Path("/x/lambda_script")
    assert cache_folder({}) == Path.home() / ".cache" / "lambda_script"


def test_without_uv_it_says_what_to_install(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("lambda_toolkit.packaging.uv.find_uv", lambda: None)
    with pytest.raises(PackageError, match="pip install uv"):
        build_layer(LayerSpec(("one",), THIS_RUNTIME, "x86_64", "host-here"), tmp_path)


def test_facts_name_the_largest(tmp_path: Path) -> None:
    entries = {f"python/{name}/x": layer_zip.Entry(b"x" * size) for name, size in (("a", 1), ("b", 3), ("c", 2))}
    assert json.loads(json.dumps(layer_zip._facts(tmp_path, entries))) == {
        "unzipped": 6,
        "largest": [["b", 3], ["c", 2], ["a", 1]],
    }


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder used as the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))  # these wheels are like no others of their names
    wheel(folder, "intel", {"intel.py": ""}, "cp313-cp313-manylinux_2_28_x86_64")
    wheel(folder, "young", {"young.py": ""}, "cp313-cp313-manylinux_2_39_x86_64")
    wheel(folder, "old", {"old.py": ""}, "cp311-cp311-manylinux_2_28_x86_64")
    wheel(folder, "parent", {"parent.py": ""}, needs="Requires-Dist: source-only\n")
    sdist = io.BytesIO(b"Metadata-Version: 2.1\nName: source-only\nVersion: 1.0\n")
    with tarfile.open(folder / "source_only-1.0.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("source_only-1.0/PKG-INFO")
        entry.size = len(sdist.getvalue())
        archive.addfile(entry, sdist)
    return folder


@pytest.mark.parametrize(
    ("requirement", "architecture", "says"),
    [
        ("source-only", "x86_64", "- source-only is published as source only: it has no wheel. Try"),
        ("parent", "x86_64", "- source-only is published as source only: it has no wheel. Try"),
        ("intel", "arm64", "- intel 1.0 has no wheel for this architecture .* some for manylinux_2_28_x86_64. Try"),
        (
            "young",
            "x86_64",
            "- young 1.0 has no wheel for this architecture and its C library; .*manylinux_2_39_x86_64",
        ),
        ("old", "x86_64", "- old 1.0 has no wheel for CPython 3.13; it has some for cp311. Try"),
        ("misspelt", "x86_64", "- misspelt is not in the package index. Check its name"),
        ("intel>=2", "x86_64", r"- intel>=2 is required, and only intel==1\.0 is available"),
    ],
)
def test_uninstallable_package_is_named(
    index: Path, tmp_path: Path, requirement: str, architecture: str, says: str
) -> None:
    platform = lambda_platform("python3.13", architecture)
    spec = LayerSpec(("--no-index", requirement), "python3.13", architecture, platform, bytecode=False)
    with pytest.raises(PackageError) as refused:
        build_layer(spec, tmp_path / "cache")
    assert re.search(says, str(refused.value)), str(refused.value)


def test_markers_hashes_and_options_are_passed_on(index: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((index / "intel-1.0-cp313-cp313-manylinux_2_28_x86_64.whl").read_bytes()).hexdigest()
    (tmp_path / "more.txt").write_text(f"intel==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    file = tmp_path / "requirements.txt"
    text = "-r more.txt\nold==1.0; python_version < '3.12'\n--no-index\n"
    file.write_text(text, encoding="utf-8")
    lines = read_requirements(file)
    spec = LayerSpec(lines, "python3.13", "x86_64", lambda_platform("python3.13", "x86_64"), bytecode=False)
    names = contents(build_layer(spec, tmp_path / "cache").path)
    assert "python/intel.py" in names
    assert "python/old.py" not in names
    assert shown(spec.requirements) == "intel==1.0, old==1.0; python_version < '3.12'"
    assert shown(["--index-url https://me:secret@h/simple", "a"]) == "a"
    assert shown(["a @ https://me:secret@h/a.whl"]) == "a @ https://***@h/a.whl"
    (tmp_path / "more.txt").write_text(f"intel==1.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    with pytest.raises(PackageError, match="(?i)hash"):
        build_layer(replace(spec, requirements=read_requirements(file)), tmp_path / "cache")
    (tmp_path / "more.txt").write_text("-r requirements.txt\n", encoding="utf-8")
    with pytest.raises(PackageError, match="name each other"):
        read_requirements(file)
    file.write_text("-e .\n", encoding="utf-8")
    with pytest.raises(PackageError, match="holds? `-e .`"):
        read_requirements(file)


def test_layer_excludes_unneeded_files_unless_kept(tmp_path: Path) -> None:
    files = {
        "one/__init__.py": "",
        "one/tests/test_a.py": "",
        "one/tests/__init__.py": "",
        "one/core.h": "",
        "one/lib.a": "",
        "one/core.pyi": "",
        "one/docs/guide.py": "",
        "one/fast.pyx": "",
        "one/used/tests/__init__.py": "",
        "one/used/tests/helper.py": "",
        "one/testing.py": "from one.used.tests.helper import x\n",
    }
    requirement = wheel(tmp_path, "one", files)
    spec = LayerSpec((requirement,), THIS_RUNTIME, "x86_64", lambda_platform(THIS_RUNTIME, "x86_64"), bytecode=False)

    def kept(*exclude: str) -> set[str]:
        found = contents(build_layer(replace(spec, exclude=exclude), tmp_path / "cache").path)
        return {name.removeprefix("python/one/") for name in found if "dist-info" not in name}

    needed = {"__init__.py", "docs/guide.py", "testing.py", "used/tests/__init__.py", "used/tests/helper.py"}
    assert kept() == needed
    assert kept("!one/**/*.h", "!one/tests/**") == {*needed, "core.h", "tests/test_a.py", "tests/__init__.py"}


def test_no_file_tells_where_it_was_built(spec: LayerSpec, tmp_path: Path) -> None:
    layer = build_layer(spec, tmp_path / "cache")
    archive = zipfile.ZipFile(layer.path)
    for name in archive.namelist():
        assert str(tmp_path).encode() not in archive.read(name), name
