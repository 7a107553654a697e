"""The imports of the product, read from its source: which module imports which, chains, and circles.

`python -m tests.support.structure [ROOT]` prints the size and shape of each part of the product.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOP_LEVEL = ("lambda_script.py", "deploy.py", "lambda_toolkit", "lambdas", "commands", "local")
LINKED = "lambda_toolkit.pipeline.lambdas"
"""The symbolic link to `lambdas/`: one folder with two names, counted once, as `lambdas`."""


@dataclass(frozen=True)
class Import:
    """One imported name."""

    module: str
    """The module that imports, such as `lambdas.load.handler`."""
    target: str
    """The imported name with its package, relative imports resolved: `lambdas.shared.errors.DataError`."""
    line: int
    """The line of the statement in the importing module's file."""
    relative: bool
    """Whether the statement begins with a dot."""


@dataclass(frozen=True)
class Sources:
    """The modules of a tree of sources and what they import."""

    files: dict[str, Path]
    """The file of each module, by the module's name."""
    imports: tuple[Import, ...]
    """Every imported name, type-only imports and imports inside functions among them."""

    def graph(self, prefix: str = "", without: str | None = None) -> dict[str, set[str]]:
        """Return for each module inside `prefix`, and not inside `without`, those of its imports that are so, too."""
        names = [name for name in self.files if within(name, prefix) and not (without and within(name, without))]
        graph: dict[str, set[str]] = {name: set() for name in names}
        for found in self.imports:
            target = self.module_of(found.target)
            if found.module in graph and target in graph and target != found.module:
                graph[found.module].add(target)
        return graph

    def module_of(self, name: str) -> str | None:
        """Return the module that an imported name is or is defined in; None if it is not of this tree."""
        name = canonical(name)
        while name and name not in self.files:
            name = name.rpartition(".")[0]
        return name or None


def within(name: str, prefix: str) -> bool:
    """Return whether `name` is the module `prefix` or a module inside it."""
    return not prefix or name == prefix or name.startswith(f"{prefix}.")


def canonical(name: str) -> str:
    """Return a module's name as `lambdas....` where it was reached through the symbolic link."""
    return "lambdas" + name[len(LINKED) :] if within(name, LINKED) else name


def read(root: Path = ROOT) -> Sources:
    """Read all modules of the product below `root`."""
    files = dict(_files(root))
    return Sources(files, tuple(found for name, file in files.items() for found in imports_of(name, file)))


def _files(root: Path) -> Iterator[tuple[str, Path]]:
    for name in TOP_LEVEL:
        path = root / name
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            parts = file.relative_to(root).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not within(module, LINKED):
                yield module, file


def imports_of(module: str, file: Path) -> Iterator[Import]:
    """Yield every name that one file imports."""
    package = module if file.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            start = ".".join([*base, *filter(None, [node.module])])
            yield from (Import(module, f"{start}.{alias.name}", node.lineno, node.level > 0) for alias in node.names)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the sets of modules that import each other, directly or through others, each sorted."""
    reached = {name: _reachable(graph, name) for name in graph}
    found = {tuple(sorted(other for other in reached[name] if name in reached[other])) for name in graph}
    return sorted([list(circle) for circle in found if circle])


def _reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    reached: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(graph[name])
    return reached


def longest_chain(graph: dict[str, set[str]]) -> list[str]:
    """Return the longest path of imports, from the module that imports to the last one that is imported.

    A circle counts as one step: the chain names its first module.
    """
    member = {name: circle[0] for circle in circles(graph) for name in circle}
    steps: dict[str, set[str]] = {}
    for name, targets in graph.items():
        own = member.get(name, name)
        steps.setdefault(own, set()).update(member.get(target, target) for target in targets)
    best: dict[str, list[str]] = {}

    def chain(name: str) -> list[str]:
        if name not in best:
            below = [chain(target) for target in sorted(steps[name] - {name})]
            best[name] = [name, *max(below, key=len, default=[])]
        return best[name]

    return max((chain(name) for name in sorted(steps)), key=len, default=[])


def report(root: Path, parts: Iterable[str]) -> Iterator[str]:
    """Yield a paragraph for each part: its folders, files and lines, its longest chain of imports, its circles."""
    sources = read(root)
    for part in parts:
        graph = sources.graph(part, "lambda_toolkit.pipeline" if part == "lambda_toolkit" else None)
        if not graph:
            continue
        files = [sources.files[name] for name in graph]
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        modules = [file for file in files if file.stem != "__init__"]
        fullest = max(
            {file.parent for file in modules}, key=lambda folder: sum(file.parent == folder for file in modules)
        )
        chain = longest_chain(graph)
        found = circles(graph)
        yield f"{part}: {len({file.parent for file in files})} folders, {len(modules)} modules, {lines} lines"
        yield (
            f"  most modules in one folder: {sum(file.parent == fullest for file in modules)}"
            f" ({fullest.relative_to(root)})"
        )
        steps = " > ".join(name.removeprefix(f"{part}.") for name in chain)
        yield f"  longest import chain, {len(chain)} modules: {steps}"
        yield f"  circles: {'; '.join(', '.join(circle) for circle in found) or 'none'}"


def walk_of_plan(sources: Sources) -> list[str]:
    """Return the modules that the command ``plan`` reaches besides the local stack, those imported on use included."""
    graph = sources.graph("", "lambda_toolkit.pipeline.local_stack")
    reached = _reachable(graph, "lambda_toolkit.pipeline.commands.plan")
    return sorted(name for name in reached if sources.files[name].stem != "__init__")


PARTS = (
    "lambda_toolkit",
    "lambda_toolkit.resources",
    "lambda_toolkit.deploy",
    "lambdas.extract",
    "lambdas.transform",
    "lambdas.load",
    "lambda_toolkit.pipeline.commands",
    "lambda_toolkit.pipeline",
    "commands",
)

if __name__ == "__main__":
    root = Path(sys.argv[1]) if sys.argv[1:] else ROOT
    for text in report(root, PARTS):
        print(text)
    print(f"the command plan reaches {len(walk_of_plan(read(root)))} modules besides the local stack")
