"""What is said about an import that would fail, what is advised, and for which platform a compiled module is."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest

from lambda_toolkit.packaging import import_advice
from lambda_toolkit.packaging.archive import Entry, write_archive
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.import_advice import ImportProblems, check_imports
from lambda_toolkit.packaging.imports import import_check
from lambda_toolkit.packaging.imports.compiled_modules import Platform, is_compiled, made_for, module_name
from lambda_toolkit.packaging.imports.module_index import module_names
from lambda_toolkit.packaging.layer_zip import Layer, LayerSpec
from lambda_toolkit.spec.model import FunctionSpec
from tests.support.function_sources import write

HANDLER = "\n\ndef lambda_handler(event, context):\n    return event\n"
DISTRIBUTIONS = {
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dotenv": "python-dotenv",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "MySQLdb": "mysqlclient",
    "nacl": "PyNaCl",
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "pymysql": "PyMySQL",
    "sklearn": "scikit-learn",
    "slugify": "python-slugify",
    "yaml": "PyYAML",
    "pandas": "pandas",
}
"""Modules whose distributions have another name in the package index, an extra, and the same name."""


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(import_advice, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("lambda_toolkit.packaging.bytecode.find_interpreter", lambda runtime: None)
    monkeypatch.setattr(importlib.metadata, "packages_distributions", dict)
    monkeypatch.chdir(tmp_path)


def check(folder: Path, text: str, **different: Any) -> ImportProblems:
    source = write(folder / "source", {"app.py": text + HANDLER})
    spec = FunctionSpec(**{"name": "report", "source": source / "app.py", "runtime": "python3.12", **different})
    return check_imports(spec, build(spec), None, None)


def test_distribution_of_each_module_is_advised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(f"import {module}" for module in DISTRIBUTIONS)
    found = check(tmp_path, text)
    assert [str(error).split("Add `")[1].split("`")[0] for error in found.errors] == list(DISTRIBUTIONS.values())
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"yaml": ["ruamel", "x"]})
    [error] = check(tmp_path, "import yaml").errors
    assert "Add `ruamel` to `requirements`" in str(error)


def test_at_most_twenty_imports_are_shown(tmp_path: Path) -> None:
    assert len(check(tmp_path, "\n".join(f"import missing{number}" for number in range(21))).errors) == 20


def test_file_that_is_here_is_found_beside_and_above(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "source/beside.py": "",
            "above.py": "",
            "source/folder/a.py": "",
            "source/empty/readme.txt": "",
            "source/pack/__init__.py": "",
            "other/included.py": "",
            "other/near.py": "",
            "source/tests/helper.py": "",
        },
    )

    def said(module: str) -> str:
        found = check(tmp_path, f"import {module}", include=(tmp_path / "other" / "included.py",))
        [error] = found.errors
        return str(error)

    assert "source/beside.py is on this machine: add it to `include`." in said("beside")
    assert " above.py is on this machine: add it to `include`." in said("above")
    assert " other/near.py is on this machine: add it to `include`." in said("near")
    assert "source/folder is on this machine: add it to `include`." in said("folder")
    assert "source/tests is excluded from packages" in said("tests")
    assert "Add `empty` to `requirements`" in said("empty"), "a folder without modules"


def test_module_of_a_folder_that_is_in_two_places_is_found(tmp_path: Path) -> None:
    files = {"pack/app.py": "import space.two, space.test_one, space.tests.a" + HANDLER, "pack/space/one.py": ""}
    write(tmp_path, {**files, "space/two.py": "", "pack/space/test_one.py": "", "pack/space/tests/a.py": ""})
    spec = FunctionSpec("report", tmp_path / "pack", handler="app.lambda_handler", runtime="python3.12")
    two, test, tests = map(str, check_imports(spec, build(spec), None, None).errors)
    assert " space/two.py is on this machine: add space to `include`." in two
    assert " pack/space/test_one.py is excluded from packages" in test
    assert " pack/space/tests is excluded from packages" in tests, "its folder is"


def test_reason_is_that_of_the_import(tmp_path: Path) -> None:
    (sentence,) = map(str, check(tmp_path, "import yaml", requirements=("click",), provided_modules=("x",)).errors)
    assert "neither package, nor requirements, nor Lambda's Python 3.12 has `yaml`." in sentence
    data = write(tmp_path / "data", {"app.py": "import settings" + HANDLER, "settings.json": "{}"})
    spec = FunctionSpec("report", data, handler="app.lambda_handler", runtime="python3.12")
    assert "neither the package nor Lambda's Python 3.12" in str(check_imports(spec, build(spec), None, None).errors[0])
    folder = write(tmp_path / "pack", {"app.py": "import own.x\nfrom own import y" + HANDLER, "own/__init__.py": ""})
    spec = FunctionSpec("report", folder, handler="app.lambda_handler", runtime="python3.12")
    below, name = map(str, check_imports(spec, build(spec), None, None).errors)
    assert "`import own.x` fails on Lambda: the package has no own.x. Is the name right?" in below
    assert "`from own import y` fails on Lambda: own of the package has no `y`. Is the name right?" in name
    write(folder, {"app.py": "import fast" + HANDLER, "fast.cp312-win_amd64.pyd": b"MZ"})
    [wrong] = map(str, check_imports(spec, build(spec), None, None).errors)
    assert "fast.cp312-win_amd64.pyd is made for Windows, and the function runs on Python 3.12 on Linux" in wrong
    assert "Take it out of the folder and write `fast` into `requirements`" in wrong
    assert "add `fast` to `provided_modules`" in wrong


@pytest.mark.parametrize(
    "different",
    [
        {"handler": "app.other"},
        {"architecture": "arm64"},
        {"runtime": "python3.13"},
        {"environment": {"PYTHONPATH": "/x"}},
        {"environment": {"AWS_LAMBDA_EXEC_WRAPPER": "/x"}},
        {"provided_modules": ("x",)},
        {"layers": ("arn:a",)},
        {"name": "other"},
    ],
    ids=str,
)
def test_package_is_read_again_where_the_answer_may_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, different: dict[str, Any]
) -> None:
    text = "import json\nother = json\n"
    read: list[int] = []
    monkeypatch.setattr(import_check, "missing_imports", lambda _: read.append(1) or [])  # type: ignore[func-returns-value]
    for settings in ({}, {}, {"environment": {"MODE": "x"}}, {"memory": 512}):
        check(tmp_path, text, **settings)
    assert len(read) == 1
    check(tmp_path, text, **different)
    assert len(read) == 2


def test_layer_that_was_never_built_here_may_have_everything(tmp_path: Path) -> None:
    layer = LayerSpec(("yaml",), "python3.12", "x86_64", "any")
    source = write(tmp_path, {"app.py": "import yaml" + HANDLER}) / "app.py"
    spec = FunctionSpec("report", source, runtime="python3.12")
    assert check_imports(spec, build(spec), None, None).errors
    assert check_imports(spec, build(spec), layer, None) == ImportProblems()
    assert check_imports(spec, build(spec), None, None).errors, "what passed with a layer has not passed without"
    everything = FunctionSpec("report", source, runtime="python3.12", provided_modules=("*",))
    assert check_imports(everything, build(spec), None, None) == ImportProblems()
    of_others = FunctionSpec("report", source, runtime="python3.12", layers=("arn:a",))
    assert check_imports(of_others, build(spec), None, None) == ImportProblems()


def test_layer_that_was_built_here_has_what_is_in_it(tmp_path: Path) -> None:
    layer = LayerSpec(("yaml",), "python3.12", "x86_64", "any")
    (tmp_path / "layer.zip").write_bytes(write_archive({"python/yaml.py": Entry(b"")}))
    built = Layer(tmp_path / "layer.zip", 1, 1, ())
    for module, missing in (("yaml", 0), ("pandas", 1)):
        source = write(tmp_path, {"app.py": f"import {module}" + HANDLER}) / "app.py"
        spec = FunctionSpec("report", source, runtime="python3.12")
        assert check_imports(spec, build(spec), layer, None) == ImportProblems()
        assert len(check_imports(spec, build(spec), layer, built).errors) == missing


ELF = b"\x7fELF" + bytes(14)
X86, ARM = (ELF + bytes([machine, 0, 1]) for machine in (62, 183))  # and the version of the format


@pytest.mark.parametrize(
    ("file", "content", "x86", "arm"),
    [
        ("_x.cpython-312-x86_64-linux-gnu.so", X86, None, "Linux, x86_64"),
        ("_x.cpython-312-amd64-linux-gnu.so", X86, None, "Linux, amd64"),
        ("_x.cpython-312-aarch64-linux-gnu.so", ARM, "Linux, aarch64", None),
        ("_x.cpython-312-arm64-linux-gnu.so", ARM, "Linux, arm64", None),
        ("_x.cpython-313-aarch64-linux-gnu.so", ARM, "Python 3.13", "Python 3.13"),
        ("_x.cpython-312t-aarch64-linux-gnu.so", ARM, "Linux, aarch64", None),
        ("_x.cpython-312.so", X86, None, "Linux, x86_64"),
        ("_x.cpython-39.so", X86, "Python 3.9", "Python 3.9"),
        ("_x.cpython-312-darwin.so", b"", "macOS", "macOS"),
        ("_x.cpython-312-aarch64-linux-musl.so", b"", *["Linux with musl, as Alpine has it"] * 2),
        ("_x.so", b"\xca\xfe\xba\xbe\0\0", "macOS", "macOS"),
        ("_x.so", b"\xce\xfa\xed\xfe\x07", "macOS", "macOS"),
        ("_x.so", b"MZ\x90", "Windows", "Windows"),
        ("_x.pyd", X86, "Windows", "Windows"),
        ("_x.so", ELF + bytes([40, 0]) + bytes(9), *["Linux, another processor"] * 2),
        ("_x.so", (ELF + bytes([40, 0]))[:20], None, None),
        ("_x.so", b"text" * 6, None, None),
    ],
)
def test_platform_of_a_compiled_module(file: str, content: bytes, x86: str | None, arm: str | None) -> None:
    for architecture, expected in (("x86_64", x86), ("arm64", arm)):
        platform = Platform((3, 12), architecture)
        assert made_for(file, content, platform) == expected
        assert made_for(f"a/{file}", content, platform) == expected


def test_names_of_modules_are_those_of_their_files() -> None:
    assert [is_compiled(name) for name in ("a.so", "a.pyd", "a.py", "so")] == [True, True, False, False]
    assert module_name("a/b/_x.cpython-312-x86_64-linux-gnu.so") == "a/b/_x"
    assert module_name("_x.abi3.so") == "_x"
    files = ["a/__init__.py", "a/b.py", "c/d/e.so", "f.py", "g/data.json", "h/i.pyd"]
    assert module_names(files) == {"a", "a/", "a/b", "c/", "c/d/", "c/d/e", "f", "h/", "h/i"}
