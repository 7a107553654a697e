"""From a source to a package: layout, excludes, the same bytes on every machine, handlers."""

from __future__ import annotations

import io
import json
import marshal
import os
import stat
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import compiler
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.interpreters import find_interpreter
from lambda_toolkit.spec.model import THIS_RUNTIME, FunctionSpec
from tests.support.function_sources import HANDLER, names, write

OTHER_RUNTIME = "python3.13" if THIS_RUNTIME != "python3.13" else "python3.12"
TAG = sys.implementation.cache_tag


PACKAGE_TREE = {
    "lambdas/__init__.py": "",
    "lambdas/extract/__init__.py": "",
    "lambdas/extract/handler.py": "from lambdas.shared import names\n" + HANDLER,
    "lambdas/extract/copying/__init__.py": "",
    "lambdas/extract/copying/frames.py": "FRAME = 1\n",
    "lambdas/shared/__init__.py": "",
    "lambdas/shared/names.py": "NAME = 'n'\n",
    "lambdas/load/__init__.py": "",
    "lambdas/load/handler.py": HANDLER,
}


def test_single_file_is_at_the_root(tmp_path: Path) -> None:
    write(tmp_path, {"my_function.py": HANDLER, "beside.py": "x = 1\n"})
    assert names(tmp_path / "my_function.py") == ["my_function.py"]
    assert build(FunctionSpec("f", tmp_path / "my_function.py")).handler == "my_function.lambda_handler"


@pytest.mark.parametrize(
    ("files", "handler"),
    [
        ({"lambda_function.py": HANDLER, "more.py": ""}, "lambda_function.lambda_handler"),
        ({"handler.py": HANDLER, "sub/more.py": ""}, "handler.lambda_handler"),
        ({"only.py": HANDLER, "data/x.json": "{}"}, "only.lambda_handler"),
    ],
)
def test_a_plain_folders_contents_lie_at_the_root(tmp_path: Path, files: dict[str, str], handler: str) -> None:
    source = write(tmp_path / "source", files)
    assert names(source) == sorted(files)
    assert build(FunctionSpec("f", source)).handler == handler


def test_what_is_included_does_not_decide_about_the_handler(tmp_path: Path) -> None:
    source = write(tmp_path / "source", {"only.py": HANDLER, "test_only.py": ""})
    write(tmp_path, {"more.py": "x = 1\n"})
    assert build(FunctionSpec("f", source, include=(tmp_path / "more.py",))).handler == "only.lambda_handler"


def test_a_python_package_keeps_its_import_name(tmp_path: Path) -> None:
    root = write(tmp_path, PACKAGE_TREE)
    source = root / "lambdas" / "extract"
    package = build(FunctionSpec("f", source, include=(root / "lambdas" / "shared",)))
    assert package.handler == "lambdas.extract.handler.lambda_handler"
    found = [name for name in zipfile.ZipFile(io.BytesIO(package.content)).namelist() if not name.endswith(".pyc")]
    assert found == [name for name in sorted(PACKAGE_TREE) if "load" not in name]


def test_package_is_importable_from_its_zip_without_source(tmp_path: Path) -> None:
    """The package can be imported from its zip without its source."""
    root = write(tmp_path / "home", PACKAGE_TREE)
    package = build(FunctionSpec("f", root / "lambdas/extract", include=(root / "lambdas/shared",)))
    unpacked = tmp_path / "task"
    zipfile.ZipFile(io.BytesIO(package.content)).extractall(unpacked)
    code = "from lambdas.extract import handler; print(handler.lambda_handler(7, None), handler.__cached__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=unpacked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["7", str(unpacked / f"lambdas/extract/__pycache__/handler.{TAG}.pyc")]


def test_the_bytecode_is_used_and_never_checked(tmp_path: Path) -> None:
    source = write(tmp_path, {"f.py": HANDLER}) / "f.py"
    package = build(FunctionSpec("f", source))
    archive = zipfile.ZipFile(io.BytesIO(package.content))
    compiled = archive.read(f"__pycache__/f.{TAG}.pyc")
    assert int.from_bytes(compiled[4:8], "little") == 0b01  # hash-based, unchecked: PEP 552
    assert marshal.loads(compiled[16:]).co_filename == "/var/task/f.py"  # noqa: S302
    unpacked = tmp_path / "task"
    archive.extractall(unpacked)
    (unpacked / "f.py").write_text("raise SystemExit('compiled again')\n", encoding="utf-8")
    subprocess.run([sys.executable, "-c", "import f; f.lambda_handler(1, 2)"], cwd=unpacked, check=True)


def test_no_bytecode_where_nothing_can_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lambda_toolkit.packaging.bytecode.find_interpreter", lambda runtime: None)
    source = write(tmp_path, {"f.py": HANDLER}) / "f.py"
    content = build(FunctionSpec("f", source, runtime=OTHER_RUNTIME)).content
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["f.py"]


def test_the_same_bytes_from_another_place_time_and_umask(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        one = write(tmp_path / "one", PACKAGE_TREE)
        os.umask(0o002)
        other = write(tmp_path / "a" / "deeper" / "place", dict(reversed(PACKAGE_TREE.items())))
    finally:
        os.umask(previous)
    for file in other.rglob("*.py"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    write(other, {"lambdas/extract/__pycache__/handler.cpython-39.pyc": "stale"})
    packages = [
        build(FunctionSpec("f", root / "lambdas/extract", include=(root / "lambdas/shared",))) for root in (one, other)
    ]
    assert packages[0].content == packages[1].content
    assert packages[0].sha256 == packages[1].sha256


def test_the_same_bytes_inside_an_installed_package(tmp_path: Path) -> None:
    """The folder that holds it there is a Python package as well: ``package_root`` says where import names begin."""
    checkout = write(tmp_path / "checkout", PACKAGE_TREE)
    site = write(tmp_path / "site", {f"tools/pipeline/{name}": text for name, text in PACKAGE_TREE.items()})
    write(site, {"tools/__init__.py": "", "tools/pipeline/__init__.py": ""})
    root = site / "tools" / "pipeline"
    one = build(FunctionSpec("f", checkout / "lambdas/extract", include=(checkout / "lambdas/shared",)))
    installed = FunctionSpec("f", root / "lambdas/extract", include=(root / "lambdas/shared",), package_root=root)
    other = build(installed)
    assert (one.handler, one.content) == (other.handler, other.content)
    assert build(replace(installed, package_root=None)).handler == f"tools.pipeline.{one.handler}"


def test_the_same_bytes_from_other_processes(tmp_path: Path) -> None:
    """What a process did before changes hash seeds, reference counts and interned strings, and must change no byte."""
    text = (
        "A = {'x', 'y', 'long name'}\ndef f(a):\n    return a in {'x', 'y', 'q r'}, 'long name', (1, 'y'), f.__name__\n"
    )
    source = write(tmp_path, {"f.py": text + HANDLER}) / "f.py"
    code = (
        "import sys; from pathlib import Path; {};"
        "from lambda_toolkit.packaging.function_zip import build; from lambda_toolkit.spec.model import FunctionSpec;"
        f"print(build(FunctionSpec('f', Path({str(source)!r}))).sha256)"
    )
    root = Path(__file__).parents[3]
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code.format(before)],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, before in (
            ("0", "0"),
            ("1", "import json, decimal"),
            ("77", "keep = [sys.intern('long name'), 'q r']"),
        )
    }
    assert len(hashes) == 1


def test_package_excludes_files_that_do_not_belong(tmp_path: Path) -> None:
    source = write(
        tmp_path / "source",
        {
            "handler.py": HANDLER,
            "data/names.json": "{}",
            "test_handler.py": "",
            "conftest.py": "",
            "tests/test_more.py": "",
            "handler.py~": "",
            ".handler.py.swp": "",
            ".git/config": "",
            ".venv/lib/x.py": "",
            "env/pyvenv.cfg": "",
            "env/lib/x.py": "",
            "__pycache__/handler.cpython-311.pyc": "",
            "old.pyc": "",
            "x.egg-info/PKG-INFO": "",
            "package.zip": "",
        },
    )
    assert names(source, zip_path=source / "package.zip") == ["data/names.json", "handler.py"]


def test_extra_files(tmp_path: Path) -> None:
    source = write(tmp_path, {"f.py": HANDLER, "names.txt": "from disk"}) / "f.py"
    extra = {"tables.json": b"{}", "data/names.txt": tmp_path / "names.txt"}
    content = build(FunctionSpec("f", source, extra_files=extra)).content
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.read("tables.json") == b"{}"
    assert archive.read("data/names.txt") == b"from disk"


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "", "a\\b"])
def test_names_that_lead_out_of_the_package_are_refused(tmp_path: Path, name: str) -> None:
    source = write(tmp_path, {"f.py": HANDLER}) / "f.py"
    with pytest.raises(PackageError, match="not a valid name for a file in a package"):
        build(FunctionSpec("f", source, extra_files={name: b""}))


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"one/f.py": HANDLER, "other/f.py": "x = 1\n"})
    with pytest.raises(PackageError, match="Two different files"):
        build(FunctionSpec("f", tmp_path / "one/f.py", include=(tmp_path / "other/f.py",)))
    assert names(tmp_path / "one/f.py", include=(tmp_path / "one/f.py",)) == ["f.py"]
    with pytest.raises(PackageError, match=r"one/f\.py and extra_files\['f\.py'\]"):
        build(FunctionSpec("f", tmp_path / "one/f.py", extra_files={"f.py": b"x = 1\n"}))


def test_executables_stay_executable(tmp_path: Path) -> None:
    source = write(tmp_path / "s", {"handler.py": HANDLER, "bin/tool": "#!/bin/sh\n", "data.json": "{}"})
    for name in ("bin/tool", "data.json", "handler.py"):  # some file systems call every file executable
        (source / name).chmod(0o700)
    archive = zipfile.ZipFile(io.BytesIO(build(FunctionSpec("f", source)).content))
    modes = {info.filename: stat.S_IMODE(info.external_attr >> 16) for info in archive.infolist()}
    assert modes["bin/tool"] == 0o755
    assert modes["handler.py"] == modes["data.json"] == 0o644


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    source = write(tmp_path / "s", {"handler.py": HANDLER, "sub/a.txt": ""})
    (source / "sub" / "back").symlink_to(source, target_is_directory=True)
    assert names(source) == ["handler.py", "sub/a.txt"]
    assert "sub/back (it is a link to a folder that it is in)" in build(FunctionSpec("f", source)).notes[0]


@pytest.mark.parametrize(
    ("files", "different", "says"),
    [
        ({"a.py": HANDLER, "b.py": ""}, {}, "Which module of"),
        ({"readme.txt": ""}, {}, "Which module of"),
        ({"handler.py": "x = 1\n"}, {}, "handler.py defines no `lambda_handler`"),
        ({"handler.py": HANDLER}, {"handler": "other.main"}, "has no module other.py"),
        ({"handler.py": HANDLER}, {"handler": "main"}, "has no module main.py"),
        ({"handler.py": "def lambda_handler(:\n"}, {}, "handler.py: "),
        ({"handler.py": HANDLER, "more.py": "x = (\n"}, {}, "more.py, line 1"),
        ({"handler.py": HANDLER}, {"include": (Path("/nowhere/x.py"),)}, "no file or folder /nowhere/x.py"),
        ({"handler.py": HANDLER}, {"extra_files": {"x": Path("/nowhere/x")}}, "Cannot read /nowhere/x"),
    ],
)
def test_what_cannot_become_a_package(tmp_path: Path, files, different, says: str) -> None:
    source = write(tmp_path / "source", files)
    with pytest.raises(PackageError) as refused:
        build(FunctionSpec("f", source, **different))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "from elsewhere import lambda_handler\n",
        "import elsewhere as lambda_handler\n",
        "lambda_handler = print\n",
        "from elsewhere import *\n",
        "async def lambda_handler(event, context): ...\n",
        "class lambda_handler: ...\n",
    ],
)
def test_handlers_may_be_defined_in_any_way(tmp_path: Path, text: str) -> None:
    assert names(write(tmp_path, {"f.py": text}) / "f.py") == ["f.py"]


def test_a_requirement_may_bring_the_handler(tmp_path: Path) -> None:
    source = write(tmp_path, {"f.py": "x = 1\n"}) / "f.py"
    package = build(FunctionSpec("f", source, handler="mangum.handler", requirements=("mangum",)))
    assert package.handler == "mangum.handler"


def test_sources_of_another_version_are_compiled_by_it(tmp_path: Path) -> None:
    """The grammar of the runtime counts, not that of the Python that deploys."""
    other = _other_python()
    text = "type Pair[T] = tuple[T, T]\n" if other >= "python3.12" else "x = 1\n"
    source = write(tmp_path, {"f.py": text + HANDLER}) / "f.py"
    content = build(FunctionSpec("f", source, runtime=other)).content
    assert zipfile.ZipFile(io.BytesIO(content)).namelist()[0].endswith(f"f.cpython-{other[6:].replace('.', '')}.pyc")
    unpacked = tmp_path / "task"
    zipfile.ZipFile(io.BytesIO(content)).extractall(unpacked)
    (unpacked / "f.py").write_text("raise SystemExit('compiled again')\n", encoding="utf-8")
    interpreter = find_interpreter(other)
    subprocess.run([str(interpreter), "-c", "import f; f.lambda_handler(1, 2)"], cwd=unpacked, check=True)
    broken = write(tmp_path, {"broken.py": "x = (\n"})
    with pytest.raises(PackageError, match=r"broken\.py, line 1: .*Python3\.\d+ cannot compile it"):
        build(FunctionSpec("f", source, include=(broken / "broken.py",), runtime=other))


def test_another_python_makes_the_same_bytes(tmp_path: Path) -> None:
    """This Python in this process, and the same in one of its own with other settings."""
    source = write(tmp_path, {"f.py": "A = {'x', 'y', 'z'}\n" + HANDLER}) / "f.py"
    asked = json.dumps([["/var/task/f.py", source.read_text(encoding="utf-8")]])
    done = subprocess.run(
        [sys.executable, "-S", str(Path(compiler.__file__))], input=asked, capture_output=True, text=True, check=True
    )
    [elsewhere] = json.loads(done.stdout)
    archive = zipfile.ZipFile(io.BytesIO(build(FunctionSpec("f", source)).content))
    assert archive.read(f"__pycache__/f.{TAG}.pyc") == elsewhere["pyc"].encode("latin-1")


def test_what_is_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path, {"f.py": HANDLER}) / "f.py"
    compiled = build(FunctionSpec("f", source))
    monkeypatch.setattr("lambda_toolkit.packaging.bytecode.find_interpreter", lambda runtime: None)
    bare = build(FunctionSpec("f", source))
    assert compiled.digest == bare.digest
    assert compiled.sha256 != bare.sha256
    assert bare.is_deployed(compiled.sha256, compiled.fingerprint), "it leaves the bytecode of others alone"
    assert not compiled.is_deployed(bare.sha256, bare.fingerprint), "it adds what was missing"
    assert compiled.is_deployed(compiled.sha256)
    assert not bare.is_deployed("changed in the console", compiled.fingerprint)
    source.write_text(HANDLER + "x = 1\n", encoding="utf-8")
    assert not build(FunctionSpec("f", source)).is_deployed(compiled.sha256, compiled.fingerprint)


def _other_python() -> str:
    for runtime in ("python3.13", "python3.12", "python3.11", "python3.14"):
        if runtime != THIS_RUNTIME and find_interpreter(runtime):
            return runtime
    pytest.skip("there is no second version of Python on this machine")
