"""Which imports of a function would fail on Lambda, found in its sources before anything is deployed.

Only modules that the handler reaches by imports count: what else is in the package never runs. An import that runs
whenever the function starts is certain to fail; one in a function, or below a condition, may never run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from lambda_toolkit.packaging.archive import Entry
from lambda_toolkit.packaging.imports.compiled_modules import Platform
from lambda_toolkit.packaging.imports.import_statements import Choice, Import, Statements, Step, read
from lambda_toolkit.packaging.imports.module_index import Located, ModuleIndex
from lambda_toolkit.packaging.imports.runtime_modules import is_standard

_TASK_ROOT = "/var/task/"


@dataclass(frozen=True)
class MissingImport:
    """An import that finds nothing on Lambda."""

    file: str
    """The source in the package."""
    line: int
    statement: str
    """As it could be written: ``import a.b``."""
    missing: str
    """The module that does not exist; of ``from a import b``, the name ``b`` of ``a`` is ``a.b``."""
    certain: bool
    """Whether the function cannot start."""
    wrong: str
    """The compiled file that would be the module on another platform."""
    made_for: str
    """What that file was made for."""
    names: str
    """The module of the package that exists and does not define the name."""
    level: int
    """The number of dots, where they lead out of the package."""


@dataclass(frozen=True)
class Sources:
    """What the check reads."""

    entries: Mapping[str, Entry]
    """The package without bytecode."""
    handler: str
    """``module.function``."""
    layer: Collection[str] | None
    """See :class:`ModuleIndex`."""
    platform: Platform
    environment: Mapping[str, str]
    """The function's variables, as ``PYTHONPATH`` counts."""
    given: Collection[str]
    """Modules that are there although the check would not find them."""


def missing_imports(sources: Sources) -> list[MissingImport]:
    """The imports that would fail, each missing module once, in the order in which they are reached.

    Where the function changes where modules are found, every folder of the package may have them, and nothing is
    certain.
    """
    declared = [place for place in sources.environment.get("PYTHONPATH", "").split(":") if place]
    roots = ["", *(place.removeprefix(_TASK_ROOT).strip("/") for place in declared if place.startswith(_TASK_ROOT))]
    walk = _Walk(sources, roots)
    found = walk.run()
    others = any(not place.startswith(_TASK_ROOT) for place in declared)
    if found and (others or walk.changes_path or "AWS_LAMBDA_EXEC_WRAPPER" in sources.environment):
        folders = {name.rpartition("/")[0] for name in sources.entries}
        found = [replace(each, certain=False) for each in _Walk(sources, [*roots, *sorted(folders - {""})]).run()]
    return found


class _Walk:
    """Follows the imports from the handler on."""

    def __init__(self, sources: Sources, roots: list[str]) -> None:
        self._sources = sources
        self._index = ModuleIndex(sources.entries, sources.layer, sources.platform, roots, sources.given)
        self._installed = _installed(sources.entries)
        self._found: dict[tuple[str, str, bool], MissingImport] = {}
        self._visited: set[str] = set()
        self._waiting: dict[bool, deque[str]] = {True: deque(), False: deque()}
        self._file, self._name = "", ""
        self.changes_path = False

    def run(self) -> list[MissingImport]:
        """The imports that find nothing."""
        module = self._sources.handler.rpartition(".")[0].replace("/", ".")
        self._reach(self._index.locate(module).files, certain=True)
        while any(self._waiting.values()):
            certain = bool(self._waiting[True])
            file = self._waiting[certain].popleft()
            if file in self._visited:
                continue  # what is certain came first
            self._visited.add(file)
            statements = self._statements(file)
            if statements is not None:
                self._file, self._name = file, self._index.name_of(file)
                self.changes_path = self.changes_path or statements.changes_path
                self._follow(statements.steps, certain)
        sure = {key[:2] for key, found in self._found.items() if found.certain}
        return [found for key, found in self._found.items() if found.certain or key[:2] not in sure]

    def _statements(self, file: str) -> Statements | None:
        try:
            return read(self._sources.entries[file].content, self._sources.platform.version)
        except (SyntaxError, ValueError, RecursionError):
            return None  # another version's grammar; where it is none at all, compilation says so

    def _reach(self, files: Iterable[str], certain: bool) -> None:
        self._waiting[certain].extend(files)

    def _follow(self, steps: Iterable[Step], certain: bool) -> None:
        for step in steps:
            if isinstance(step, Choice):
                self._follow(step.then if self._exist(step.tried) else step.otherwise, certain)
                continue
            located, problem = self._resolved(step)
            sure = certain and step.certain
            self._reach(located.files, sure)
            if problem and (sure or self._file not in self._installed):
                key = (problem.missing, problem.names, sure)
                self._found.setdefault(key, replace(problem, certain=sure))

    def _exist(self, steps: Iterable[Step]) -> bool:
        """Whether all modules of ``steps`` can be imported, as far as they themselves are there."""
        return all(
            self._resolved(step)[1] is None
            if isinstance(step, Import)
            else self._exist(step.then if self._exist(step.tried) else step.otherwise)
            for step in steps
        )

    def _resolved(self, step: Import) -> tuple[Located, MissingImport | None]:
        """What the import finds, and the problem where something is missing."""
        module = self._absolute(step)
        if module is None:
            return Located(), self._problem(step, "." * step.level + step.module, level=step.level)
        located = self._index.locate(module)
        if located.missing:
            return located, self._problem(step, located.missing, located)
        if not step.name or step.name == "*":
            return located, None
        below = f"{module}.{step.name}"
        submodule = self._index.locate(below)
        if not submodule.missing:
            return replace(located, files=(*located.files, *submodule.files)), None
        if located.is_namespace:
            return located, self._problem(step, submodule.missing, submodule)
        if self._defines(located, step.name, module):
            return located, None
        if submodule.wrong:
            return located, self._problem(step, below, submodule)
        return located, self._problem(step, below, names=module)

    def _absolute(self, step: Import) -> str | None:
        """The absolute name of the module; ``None`` where its dots lead out of the package."""
        if not step.level:
            return step.module
        path = self._file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in (self._name, path):  # by its path, too: where modules are found in several folders, it has two
            parts = name.split(".")
            package = parts if self._file.endswith("/__init__.py") else parts[:-1]
            if step.level <= len(package):
                break
        else:
            return None
        return ".".join(filter(None, (*package[: len(package) - step.level + 1], step.module)))

    def _defines(self, located: Located, name: str, module: str) -> bool:
        """Whether the module may define ``name``. Only the source of the function's own modules can deny it."""
        source = located.files[-1] if located.files else ""
        if source in self._installed or is_standard(module.partition(".")[0], self._sources.platform.version):
            return True
        if self._index.name_of(source) != module:
            return True  # a compiled module, or one of the layer or the runtime
        statements = self._statements(source)
        return statements is None or statements.defines_more or name in statements.names

    def _problem(
        self, step: Import, missing: str, located: Located | None = None, *, names: str = "", level: int = 0
    ) -> MissingImport:
        wrong = located.wrong if located else ""
        dotted = "." * step.level + step.module
        statement = f"from {dotted} import {step.name}" if step.name else f"import {dotted}"
        if step.level and not step.name:  # no statement can have dots there
            statement = f'import_module("{dotted}")'
        reason = self._index.unusable.get(wrong, "")
        return MissingImport(self._file, step.line, statement, missing, step.certain, wrong, reason, names, level)


def _installed(entries: Mapping[str, Entry]) -> frozenset[str]:
    """The files of distributions that were installed into the function's folder, as their records say."""
    return frozenset(_recorded(entries))


def _recorded(entries: Mapping[str, Entry]) -> Iterator[str]:
    for name, entry in entries.items():
        folder, _, file = name.rpartition("/")
        if file != "RECORD" or not folder.endswith(".dist-info"):
            continue
        above = folder.rpartition("/")[0]
        for line in entry.content.decode("utf-8", "replace").splitlines():
            path = line.rsplit(",", 2)[0].strip('"')
            yield f"{above}/{path}" if above else path
