"""Imports go one way, files stay small, and everything public is documented.

`python -m tests.support.structure` prints the same imports as numbers.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections import Counter

import pytest

from tests.support import structure
from tests.support.structure import Import, Sources, within

pytestmark = pytest.mark.xdist_group("structure")  # one process reads the sources, once
FILES = [
    file
    for folder in ("lambda_toolkit", "lambdas", "tests", "benchmarks", "examples")
    for file in (structure.ROOT / folder).rglob("*.py")
    if "pipeline/lambdas/" not in file.as_posix()
]
TOOLKIT = [
    {"errors"},
    {"spec", "aws"},
    {"changes"},
    {"packaging"},
    {"resources"},
    {"deploy"},
    {"running"},
    {"calls", "console", "scripts"},
]
"""The floors of the toolkit, the lowest first. A module imports from its own room and from lower floors."""
RESOURCES = [{"planning"}, {"networks", "monitoring"}, {"account"}, {"functions", "schedules"}, {"triggers"}]
"""The floors of `resources`, the lowest first."""
FLOOR = {room: number for number, rooms in enumerate(TOOLKIT) for room in rooms}
RUNTIME = {"boto3", "botocore", "pg8000", "scramp", "pyarrow"}
"""What Lambda's runtime and the functions' layer provide: all that lambdas/ may import outside the standard library."""
LIMIT = 400  # lines
MODULES = 16  # of one package: where there are more, some of them belong together
LISTS = {"lambda_toolkit/pipeline/commands"}
"""Packages that are a list on purpose: a module for each command."""
TABLES = {"tests/mutations.py", "tests/toolkit_mutations.py"}
"""Files that are one table each, of the keys of pipeline.toml and of the mutations: they may be longer."""
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@functools.cache
def sources() -> Sources:
    return structure.read()


def imports(prefix: str, without: str | None = None) -> list[Import]:
    """All imports in the modules inside `prefix` that are not inside `without`."""
    return [
        found
        for found in sources().imports
        if within(found.module, prefix) and not (without and within(found.module, without))
    ]


def shown(found: list[Import]) -> list[str]:
    return [f"{each.module}:{each.line} imports {each.target}" for each in found]


def test_all_modules_were_read() -> None:
    assert len(sources().files) > 150
    assert sources().graph()["lambda_script"], "no import of the public face was found"
    assert any(each.relative for each in imports("lambdas"))


def test_no_import_circles() -> None:
    assert structure.circles(sources().graph()) == []


def test_toolkit_rooms_import_only_lower_floors() -> None:
    wrong = []
    for each in imports("lambda_toolkit", "lambda_toolkit.pipeline"):
        target = sources().module_of(each.target)
        if not target or "." not in each.module or "." not in target:
            continue
        room, other = each.module.split(".")[1], target.split(".")[1]
        if room != other and not FLOOR.get(other, len(TOOLKIT)) < FLOOR[room]:
            wrong.append(each)
    assert shown(wrong) == []


def test_resources_import_only_lower_floors() -> None:
    package = "lambda_toolkit.resources"
    floor = {f"{package}.{room}": number for number, rooms in enumerate(RESOURCES) for room in rooms}
    wrong = []
    for each in imports(package):
        here, there = each.module.rpartition(".")[0], (sources().module_of(each.target) or "").rpartition(".")[0]
        if here in floor and there != here and within(there, package) and not floor.get(there, 9) < floor[here]:
            wrong.append(each)
    assert shown(wrong) == []


def test_toolkit_does_not_import_the_pipeline() -> None:
    toolkit = [*imports("lambda_script"), *imports("lambda_toolkit", "lambda_toolkit.pipeline")]
    others = ("lambda_toolkit.pipeline", "lambdas", "deploy")
    assert shown([each for each in toolkit if any(within(each.target, other) for other in others)]) == []


def test_pipeline_uses_the_toolkit_through_its_public_face() -> None:
    """Through ``lambda_script``, ``lambda_toolkit.aws`` and what runs functions.

    The local stack also installs with the toolkit's uv, and evaluates the expressions that the toolkit allows.
    """
    public = ("lambda_toolkit.aws", "lambda_toolkit.pipeline", "lambda_toolkit.running", "lambda_toolkit.scripts")
    of_local_stack = ("packaging.uv", "spec.metric_math")
    past = [
        each
        for each in imports("lambda_toolkit.pipeline")
        if within(each.target, "lambda_toolkit")
        and not any(within(each.target, name) for name in public)
        and not (
            within(each.module, "lambda_toolkit.pipeline.local_stack")
            and any(name in each.target for name in of_local_stack)
        )
    ]
    assert shown(past) == []


def test_lambdas_import_only_themselves_and_the_runtime() -> None:
    def allowed(each: Import) -> bool:
        root = each.target.split(".")[0]
        if within(each.target, "lambdas"):
            return each.relative
        return not each.relative and (root in sys.stdlib_module_names or root in RUNTIME)

    assert shown([each for each in imports("lambdas") if not allowed(each)]) == []


def test_functions_share_only_the_shared_room() -> None:
    functions = {"extract", "transform", "load", "freshness"}
    wrong = [
        each
        for each in imports("lambdas")
        if within(each.target, "lambdas")
        and len(each.module.split(".")) > 1
        and (set(each.target.split(".")[1:2]) & functions) - {each.module.split(".")[1]}
    ]
    assert shown(wrong) == []


@pytest.mark.parametrize("room", ["lambdas.transform", "lambdas.transform.columns"])
def test_transform_reaches_no_database_driver(room: str) -> None:
    """Neither in its own modules nor in those of `shared` that it imports."""
    graph = sources().graph("lambdas")
    reached = {name for name in graph if within(name, room)}
    while more := {target for name in reached for target in graph[name]} - reached:
        reached |= more
    drivers = {"pg8000"} | ({"boto3", "botocore"} if room.endswith("columns") else set())
    assert (
        shown([each for each in sources().imports if each.module in reached and each.target.split(".")[0] in drivers])
        == []
    )


def test_lambdas_have_one_name() -> None:
    """Imported under two names, every class of theirs would exist twice, and `except` and `isinstance` would miss."""
    pattern = re.compile(r"^\s*(?:from|import)\s+lambdas\b", re.MULTILINE)
    files = [*FILES, structure.ROOT / "deploy.py", structure.ROOT / "lambda_script.py"]
    assert [str(file) for file in files if pattern.search(file.read_text(encoding="utf-8"))] == []


def test_files_have_at_most_400_lines() -> None:
    sizes = {
        str(file.relative_to(structure.ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES
    }
    assert {file: lines for file, lines in sizes.items() if lines > LIMIT and str(file) not in TABLES} == {}


def test_packages_have_few_modules() -> None:
    """A reader finds a module by the names of its room; a long flat list has none."""
    sizes = Counter(
        file.parent.relative_to(structure.ROOT).as_posix()
        for file in sources().files.values()
        if file.stem != "__init__"
    )
    assert sizes["lambda_toolkit/resources/planning"] > 5
    assert {room: count for room, count in sizes.items() if count > MODULES and room not in LISTS} == {}


def test_public_names_have_docstrings() -> None:
    bare = []
    for module, file in sources().files.items():
        tree = ast.parse(file.read_text(encoding="utf-8"))
        public = [node for node in tree.body if isinstance(node, DEFINITIONS) and not node.name.startswith("_")]
        members = [node for owner in public if isinstance(owner, ast.ClassDef) for node in owner.body]
        public += [node for node in members if isinstance(node, DEFINITIONS) and not node.name.startswith("_")]
        bare += [f"{module}.{node.name}" for node in public if not ast.get_docstring(node)]
        bare += [] if ast.get_docstring(tree) else [module]
    assert bare == []
