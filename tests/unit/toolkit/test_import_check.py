"""Imports that would fail on Lambda are found before a deploy, and those that work are not."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.function_zip import build
from lambda_toolkit.packaging.import_advice import ImportProblems, check_imports
from lambda_toolkit.packaging.imports import import_check, statements_cache
from lambda_toolkit.packaging.imports.compiled_modules import Platform, made_for
from lambda_toolkit.packaging.imports.import_check import MissingImport, Sources, missing_imports
from lambda_toolkit.packaging.imports.import_statements import known, read
from lambda_toolkit.packaging.imports.module_index import module_names
from lambda_toolkit.packaging.imports.runtime_modules import standard_modules
from lambda_toolkit.packaging.interpreters import find_interpreter
from lambda_toolkit.spec.model import FunctionSpec
from tests.support.function_sources import write

HANDLER = "\ndef lambda_handler(event, context):\n    return event\n"
V312 = Platform((3, 12), "x86_64")
ELF = b"\x7fELF" + bytes(14)
LAYER = module_names(["pg8000/__init__.py", "six.py", "google/cloud/storage/__init__.py", "_fast.abi3.so"])


def check(
    files: Mapping[str, str | bytes],
    *,
    platform: Platform = V312,
    layer: Collection[str] | None = LAYER,
    environment: Mapping[str, str] | None = None,
    given: Collection[str] = (),
    handler: str = "app.lambda_handler",
) -> list[MissingImport]:
    """What is missing in a package of `files`."""
    entries = {name: Entry(text if isinstance(text, bytes) else text.encode()) for name, text in files.items()}
    return missing_imports(Sources(entries, handler, layer, platform, environment or {}, given))


def shown(found: Collection[MissingImport]) -> list[str]:
    return [f"{each.file}:{each.line} {each.missing}{'' if each.certain else '?'}" for each in found]


RUNS = {  # what works on Lambda, or says itself that it may be missing
    "standard library": "import json, os.path, xml.etree.ElementTree\nfrom __future__ import annotations",
    "runtime": "import boto3, botocore.config\nfrom dateutil import tz\nimport urllib3, awslambdaric",
    "layer": "import pg8000.native\nfrom six.moves import urllib\nimport _fast",
    "namespace across layers": "import google.cloud.storage\nfrom google.cloud import storage",
    "own modules": "import helpers\nfrom helpers import a, b\nimport pkg.deep.leaf\n"
    "from pkg import deep, sub\nfrom pkg.deep import leaf",
    "own namespace": "import space.one\nfrom space import one\nfrom space.one import x",
    "try": "try:\n    import nothere\nexcept ImportError:\n    nothere = None",
    "try of everything": "try:\n    import nothere\nexcept:\n    pass",
    "try of several": "try:\n    import nothere\nexcept (ValueError, ModuleNotFoundError):\n    pass",
    "try of a name": "try:\n    import nothere\nexcept MISSING:\n    pass",
    "fallback": "try:\n    import tomllib\nexcept ImportError:\n    import tomli as tomllib",
    "fallback that is there": "try:\n    import ujson\nexcept ImportError:\n    import json as ujson",
    "fallback in a fallback": "try:\n    import a1\nexcept ImportError:\n    try:\n        import a2\n"
    "    except ImportError:\n        a2 = 1",
    "fallback in what is tried": "try:\n    try:\n        import n1\n    except ImportError:\n        import json\n"
    "except ImportError:\n    import n2",
    "missing and caught in what is tried": "try:\n    try:\n        import n1\n    except ImportError:\n        pass\n"
    "    import json\nexcept ImportError:\n    import n2",
    "tried before it is there": "try:\n    try:\n        import json\n    except ImportError:\n        import n1\n"
    "except ImportError:\n    import n2",
    "else of a failed try": "try:\n    import a1\nexcept ImportError:\n    pass\nelse:\n    import a1.more",
    "suppress": "import contextlib\nwith contextlib.suppress(ImportError):\n    import nothere",
    "types": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import nothere\nelse:\n    import json",
    "types of a module": "import typing as t\nif t.TYPE_CHECKING:\n    import nothere",
    "as a program": "if __name__ == '__main__':\n    import click",
    "newer Python": "import sys\nif sys.version_info >= (3, 11):\n    import tomllib\nelse:\n    import tomli",
    "older Python": "import sys\nif sys.version_info < (3, 8) or sys.version_info[0] == 2:\n    import nothere",
    "other system": "import sys, os\nif sys.platform == 'win32' or os.name == 'nt':\n    import winreg",
    "never": "if False:\n    import nothere\nif not True and x:\n    import nothere",
    "not on Lambda": "import os\nif 'AWS_LAMBDA_FUNCTION_NAME' not in os.environ:\n    import localstack\n"
    "if not os.getenv('AWS_EXECUTION_ENV'):\n    import localstack",
    "asked before": "import importlib.util\nif importlib.util.find_spec('nothere'):\n    import nothere",
    "unreachable": "VALUE = 1",
    "star": "from helpers import *",
    "module that defines more": "from lazy import anything",
    "literal": "import importlib\nimportlib.import_module('helpers')\n"
    "import_module = importlib.import_module\nimport_module('pkg.sub')",
    "not a literal": "import importlib\nfor name in ['a', 'b']:\n    importlib.import_module(name)",
    "text": '"""\nimport nothere\n"""\n# import nothere\nS = "import nothere"',
    "compiled of its own": "import native\nfrom native import fast",
    "compiled in a package": "from pkg4._c import x\nfrom pkg4 import _c, _d, NAME",
    "grammar of another version": "import broken\nfrom broken import x",
    "circle": "def f():\n    import circle",
    "names in many forms": "from forms import a, b, c, d, e, f, g, h, j, k, l",
}
OWN = {
    "helpers.py": "a = b = 1",
    "pkg/__init__.py": "",
    "pkg/sub.py": "",
    "pkg/deep/__init__.py": "from . import leaf\nfrom .. import sub\nfrom ..sub import __name__ as n",
    "pkg/deep/leaf.py": "",
    "space/one.py": "x = 1",
    "unused.py": "import nothere",
    "lazy.py": "def __getattr__(name):\n    return name",
    "native.cpython-312-x86_64-linux-gnu.so": ELF + bytes([62, 0]) + bytes(20),
    "pkg4/__init__.py": "_d = None\nNAME = 1",
    "pkg4/_c.abi3.so": ELF,
    "pkg4/_d.cpython-312-darwin.so": b"\xcf\xfa\xed\xfe",
    "broken.py": "def f(:",
    "circle.py": "def f():\n    import circle_back",
    "circle_back.py": "def f():\n    import circle",
    "forms.py": "a, (b, *c) = 1, (2, 3)\nd: int = 4\nfor e in []: pass\nwith open('x') as f: pass\nif (g := 1): pass\n"
    "try:\n    h = 1\nexcept OSError:\n    j = 2\nclass k: pass\ndef make():\n    global l\n    l = 1",
}


@pytest.mark.parametrize("name", RUNS)
def test_imports_that_work_are_not_reported(name: str) -> None:
    assert shown(check({"app.py": RUNS[name] + HANDLER, **OWN})) == []


FAILS = {  # what fails on Lambda: certainly, or where it runs (?)
    "third party": ("import json\nimport pandas.io", ["app.py:2 pandas"]),
    "from": ("from numpy.linalg import norm", ["app.py:1 numpy"]),
    "sibling": ("import settings", ["app.py:1 settings"]),
    "submodule": ("import pkg.nothere.deep", ["app.py:1 pkg.nothere"]),
    "name of a package": ("from pkg import nothere", ["app.py:1 pkg.nothere"]),
    "name of a module": ("from helpers import a, c", ["app.py:1 helpers.c"]),
    "module that is no package": ("import helpers.deep", ["app.py:1 helpers.deep"]),
    "own namespace": ("from space import two\nimport space.three", ["app.py:1 space.two", "app.py:2 space.three"]),
    "namespace of the layer": ("import google.cloud.bigquery", ["app.py:1 google.cloud.bigquery"]),
    "relative at the root": ("from . import helpers\nfrom .helpers import a", ["app.py:1 .", "app.py:2 .helpers"]),
    "in a function": ("def f():\n    import nothere", ["app.py:2 nothere?"]),
    "in a lambda and a class": ("class A:\n    import nothere", ["app.py:2 nothere"]),
    "under a condition": ("import os\nif os.path.exists('x'):\n    import nothere", ["app.py:3 nothere?"]),
    "in both branches": (
        "import os\nif os.sep:\n    import n1\nelse:\n    import n2",
        ["app.py:3 n1?", "app.py:5 n2?"],
    ),
    "certain wins": ("def f():\n    import nothere\nimport nothere", ["app.py:3 nothere"]),
    "other error caught": ("try:\n    import nothere\nexcept ValueError:\n    pass", ["app.py:2 nothere"]),
    "raised again": ("try:\n    import n1\nexcept ImportError as e:\n    raise RuntimeError from e", ["app.py:2 n1"]),
    "exit": ("import sys\ntry:\n    import n1\nexcept Exception:\n    sys.exit(1)", ["app.py:3 n1"]),
    "fallback": ("try:\n    import n1\nexcept ImportError:\n    import n2", ["app.py:4 n2"]),
    "one of two that are tried": ("try:\n    import json, n1\nexcept ImportError:\n    import n2", ["app.py:4 n2"]),
    "neither in what is tried": (
        "try:\n    try:\n        import n1\n    except ImportError:\n        import n2\n"
        "except ImportError:\n    import n3",
        ["app.py:7 n3"],
    ),
    "else in what is tried": (
        "try:\n    try:\n        import json\n    except ImportError:\n        pass\n    else:\n        import n1\n"
        "except ImportError:\n    import n2",
        ["app.py:9 n2"],
    ),
    "after try": ("try:\n    import n1\nexcept ImportError:\n    pass\nimport n2", ["app.py:5 n2"]),
    "finally": ("try:\n    import n1\nexcept ImportError:\n    pass\nfinally:\n    import n2", ["app.py:6 n2"]),
    "path changed, and relative imports": (
        "import sys\nsys.path.append('x')\nimport pkg.deep\nimport n1",
        ["app.py:4 n1?"],
    ),
    "removed": ("import distutils.core\nimport imp", ["app.py:1 distutils", "app.py:2 imp"]),
    "other system": ("import winreg", ["app.py:1 winreg"]),
    "older Python": ("import sys\nif sys.version_info < (3, 13):\n    import n1", ["app.py:3 n1"]),
    "not types": ("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import n1", ["app.py:3 n1"]),
    "literal": ("import importlib\nm = importlib.import_module('nothere.x')", ["app.py:2 nothere"]),
    "literal in a function": ("def f():\n    return __import__('nothere')", ["app.py:2 nothere?"]),
    "own module's": ("import bad", ["bad.py:2 nothere"]),
    "of a package on the way": ("import badpkg.sub", ["badpkg/__init__.py:1 nothere"]),
    "through a function": ("def f():\n    import bad", ["bad.py:2 nothere?"]),
    "star of what is missing": ("from nothere import *", ["app.py:1 nothere"]),
    "relative below": ("import up", []),
    "relative too high": ("import high.sub", ["high/sub.py:1 ..x"]),
    "each once": ("import n1, n1.a\nfrom n1 import b\nimport bad", ["app.py:1 n1", "bad.py:2 nothere"]),
    "compiled for another Python": ("import old", ["app.py:1 old"]),
    "compiled in a package": ("from pkg2 import _core\nimport pkg2._core", ["app.py:1 pkg2._core"]),
}
BAD = {
    "bad.py": "import json\nimport nothere",
    "badpkg/__init__.py": "import nothere",
    "badpkg/sub.py": "",
    "high/__init__.py": "",
    "high/sub.py": "from ..x import y",
    "up.py": "import pkg.deep",
    "old.cpython-311-x86_64-linux-gnu.so": ELF,
    "pkg2/__init__.py": "",
    "pkg2/_core.cpython-312-darwin.so": b"\xcf\xfa\xed\xfe",
}


@pytest.mark.parametrize("name", FAILS)
def test_imports_that_fail_are_reported(name: str) -> None:
    source, expected = FAILS[name]
    assert shown(check({"app.py": source + HANDLER, **OWN, **BAD})) == expected


def test_handler_of_a_package_runs_what_is_above_it() -> None:
    files = {"pkg/__init__.py": "import n1", "pkg/sub/__init__.py": "", "pkg/sub/app.py": "import n2"}
    for handler in ("pkg.sub.app.lambda_handler", "pkg/sub/app.lambda_handler"):
        assert shown(check(files, handler=handler)) == ["pkg/__init__.py:1 n1", "pkg/sub/app.py:1 n2"]


def test_layer_that_is_not_known_may_have_everything() -> None:
    source = "import pandas\nfrom . import x\nfrom pkg import nothere"
    assert shown(check({"app.py": source + HANDLER, **OWN}, layer=None)) == ["app.py:2 .", "app.py:3 pkg.nothere"]


def test_search_path_of_the_function_counts() -> None:
    files = {
        "app.py": "import vendored, other" + HANDLER,
        "lib/vendored.py": "from lib2 import x",
        "lib/lib2.py": "x = 1",
    }
    assert shown(check(files)) == ["app.py:1 vendored", "app.py:1 other"]
    assert shown(check(files, environment={"PYTHONPATH": "/var/task/lib"})) == ["app.py:1 other"]
    assert shown(check(files, environment={"PYTHONPATH": "/mnt/efs:/var/task/lib"})) == ["app.py:1 other?"]
    changed = {**files, "app.py": "import sys\nsys.path.append('lib')\n" + files["app.py"]}
    assert shown(check(changed)) == ["app.py:3 other?"], "nothing is certain where modules are searched elsewhere"


def test_module_in_any_folder_counts_where_the_path_changes() -> None:
    files = {"app.py": "import sys\nsys.path.append(x)\nimport deep, missing" + HANDLER, "a/b/deep.py": "import n1"}
    assert shown(check(files)) == ["app.py:3 missing?", "a/b/deep.py:1 n1?"]
    wrapped = {**files, "app.py": "import missing" + HANDLER}
    assert shown(check(wrapped, environment={"AWS_LAMBDA_EXEC_WRAPPER": "/opt/x"})) == ["app.py:1 missing?"]


def test_given_modules_count_as_there() -> None:
    files = {
        "app.py": "import torch.nn\nimport space.two.three\nimport pandas\nfrom azure.a import b, c" + HANDLER,
        **OWN,
    }
    assert shown(check(files, given=["torch", "space.two", "azure.a.b"])) == ["app.py:3 pandas", "app.py:4 azure.a.c"]


def test_vendored_distributions_report_only_what_is_certain() -> None:
    """Their functions import much that is not needed; a dependency that is not installed with them is missing."""
    vendored = {
        "lib/__init__.py": "from .core import anything\nimport nothere\ndef f():\n    import pytest\n",
        "lib/core.py": "",
        "lib-1.0.dist-info/RECORD": "lib/__init__.py,sha256=x,3\nlib/core.py,,\n",
    }
    assert shown(check({"app.py": "import lib" + HANDLER, **vendored})) == ["lib/__init__.py:2 nothere"]


def test_files_of_distributions_are_those_of_their_records() -> None:
    """https://packaging.python.org/en/latest/specifications/recording-installed-packages/"""
    files = {
        "a-1.dist-info/RECORD": b'a/b.py,sha256=x,3\n"with,comma.py",,\n\xff.py,,\n',
        "vendor/deep/d-1.dist-info/RECORD": b"d/e.py,,\n",
        **dict.fromkeys(("RECORD", "docs/RECORD", "a-1.dist-info/METADATA"), b"x.py,,\n"),
    }
    found = import_check._installed({name: Entry(text) for name, text in files.items()})
    assert found == {"a/b.py", "with,comma.py", "\ufffd.py", "vendor/deep/d/e.py"}


def test_own_module_may_have_the_name_of_a_standard_one() -> None:
    assert shown(check({"app.py": "from json import loads\nimport platform.x" + HANDLER, "json.py": ""})) == []


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("a/_x.cpython-312-x86_64-linux-gnu.so", ELF, None),
        ("a/_x.abi3.so", ELF + bytes([62, 0]), None),
        ("a/_x.so", b"", None),
        ("libx.so", ELF + bytes([62, 0]) + bytes(9), None),
        ("a/_x.cpython-310-x86_64-linux-gnu.so", ELF, "Python 3.10"),
        ("a/_x.cpython-312-aarch64-linux-gnu.so", ELF, "Linux, aarch64"),
        ("a/_x.cpython-312-x86_64-linux-musl.so", ELF, "Linux with musl, as Alpine has it"),
        ("a/_x.cpython-312-darwin.so", b"", "macOS"),
        ("a/_x.abi3.so", b"\xcf\xfa\xed\xfe", "macOS"),
        ("a/_x.cp312-win_amd64.pyd", b"MZ", "Windows"),
        ("a/_x.abi3.so", ELF + bytes([183, 0]) + bytes(9), "Linux, arm64"),
    ],
)
def test_compiled_modules_are_known_by_name_and_header(file: str, content: bytes, expected: str | None) -> None:
    assert made_for(file, content, V312) == expected


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_standard_modules_are_those_of_each_python(version: tuple[int, int]) -> None:
    python = find_interpreter(f"python{version[0]}.{version[1]}")
    if python is None:
        pytest.skip("no such Python on this machine")
    code = "import sys; print(*sys.stdlib_module_names)"
    names = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    others = {"msilib", "msvcrt", "nt", "winreg", "winsound"}
    public = {name for name in names if not name.startswith("_")} - others
    assert {name for name in standard_modules(version) if not name.startswith("_")} == public


def test_statements_are_the_same_from_the_cache() -> None:
    for source in [*RUNS.values(), *(source for source, _ in FAILS.values())]:
        found = read(source.encode(), (3, 12))
        stored = json.loads(json.dumps(statements_cache._as_json(found)))
        assert statements_cache._statements(stored) == found


def problems(tmp_path: Path, files: Mapping[str, str], **arguments: object) -> ImportProblems:
    source = write(tmp_path / "source", files)
    spec = FunctionSpec("report", source / "app.py" if "app.py" in files else source, runtime="python3.12")
    spec = FunctionSpec(**{**vars(spec), **arguments})
    return check_imports(spec, build(spec), None, None)


def test_messages_say_where_and_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    found = problems(
        tmp_path,
        {
            "app.py": "import yaml\nimport beside\nimport test_data\nimport imp\nfrom .x import y\n"
            "def f():\n    import zzz\n"
            "    from importlib import import_module\n    import_module('.w', __package__)" + HANDLER,
            "beside.py": "",
            "test_data.py": "",
        },
    )
    yaml, beside, excluded, removed, relative = map(str, found.errors)
    name = importlib.metadata.packages_distributions().get("yaml", ["PyYAML"])[0]
    assert yaml == (
        "app.py of `report`, line 1: `import yaml` fails on Lambda: neither the package nor Lambda's Python 3.12 "
        f"has `yaml`, and nothing is required. Add `{name}` to `requirements`, or the file to `include`. If it is "
        "there all the same, add `yaml` to `provided_modules`."
    )
    assert beside.endswith("source/beside.py is on this machine: add it to `include`.")
    assert "source/test_data.py is excluded from packages" in excluded
    assert "Python has no `imp` since 3.12" in removed
    assert "Write it without dots, `from x import y`" in relative
    inside, dynamic = found.notes
    assert not any(note.endswith(".") for note in found.notes)
    assert "line 7: `import zzz` fails on Lambda, if it runs:" in inside
    assert 'line 9: `import_module(".w")` fails on Lambda, if it runs: the dots' in dynamic
    assert 'Write it without dots, `import_module("w")`' in dynamic
    assert problems(tmp_path, {"app.py": "import yaml" + HANDLER}, provided_modules=("*",)) == ImportProblems()
    assert problems(tmp_path, {"app.py": "import yaml" + HANDLER}, provided_modules=("yaml",)) == ImportProblems()


def test_packages_that_passed_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_SCRIPT_CACHE", str(tmp_path / "cache"))
    assert problems(tmp_path, {"app.py": "import json" + HANDLER}) == ImportProblems()
    before = len(known())
    with monkeypatch.context() as patched:
        patched.setattr(import_check, "missing_imports", lambda _: pytest.fail("it was read"))
        assert problems(tmp_path, {"app.py": "import json" + HANDLER}) == ImportProblems()
    assert problems(tmp_path, {"app.py": "import json, nothere" + HANDLER}).errors, "another package"
    assert problems(tmp_path, {"app.py": "import json" + HANDLER}, runtime="python3.13") == ImportProblems()
    (tmp_path / "cache" / "imports" / "statements-1.json").write_text("{damaged")
    statements_cache._saved.clear()
    assert problems(tmp_path, {"app.py": "import os" + HANDLER}) == ImportProblems()
    assert len(known()) > before
