"""From a function's source to its package: the same bytes every time, whoever builds them and wherever.

- A file lies at the root of the package under its own name.
- The contents of a folder without ``__init__.py`` lie at the root.
- A folder with ``__init__.py`` is a Python package and keeps its import name: its parents' ``__init__.py`` come with
  it.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from lambda_toolkit.archive import Entry, can_compile_for, code_sha256, with_bytecode, write_archive
from lambda_toolkit.errors import PackageError
from lambda_toolkit.model import FunctionSpec

CODE_ROOT = "/var/task"  # where Lambda unpacks a function
ENTRY_FUNCTION = "lambda_handler"
_USUAL_MODULES = ("lambda_function.py", "handler.py")
_LEFT_OUT_FOLDERS = (
    "__pycache__",
    "tests",
    "node_modules",
    "venv",
    "*.egg-info",
    ".*",  # .git, .venv, .idea, .mypy_cache ...
)
_LEFT_OUT_FILES = (
    "*.pyc",
    "*.pyo",
    "*~",
    "*.swp",
    "*.orig",
    "Thumbs.db",
    "test_*.py",
    "*_test.py",
    "conftest.py",
    ".*",
)


@dataclass(frozen=True)
class Package:
    """A function's package. ``sha256`` is as Lambda shows it, ``unzipped`` is in bytes."""

    content: bytes = field(repr=False)
    sha256: str
    handler: str
    unzipped: int
    sizes: Mapping[str, int] = field(repr=False)


def build(spec: FunctionSpec) -> Package:
    """The package of ``spec``. Raises PackageError where there is none to make; the message names the file."""
    collected = _Collected(spec)
    handler = spec.handler or _default_handler(spec.source)
    entries: Mapping[str, Entry] = collected.entries
    _check_handler(handler, entries, spec)
    if can_compile_for(spec.runtime):
        entries = with_bytecode(entries, CODE_ROOT, strict=True)
    content = write_archive(entries)
    sizes = {name: len(entry.content) for name, entry in entries.items()}
    return Package(content, code_sha256(content), handler, sum(sizes.values()), sizes)


class _Collected:
    """The entries of a package, by their names in it."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.entries: dict[str, Entry] = {}
        self._origin: dict[str, str] = {}
        self._zip_path = spec.zip_path.absolute() if spec.zip_path else None
        for source in (spec.source, *spec.include):
            self._add_source(source)
        for name, content in sorted(spec.extra_files.items()):
            if isinstance(content, Path):
                content = _read(content, f"extra file `{name}`")
            self._add(_archive_name(name), Entry(content), f"extra_files[{name!r}]")

    def _add_source(self, source: Path) -> None:
        source = source.absolute()
        if source.is_file():
            prefix, files = PurePosixPath(), [source]
            root = source.parent
        elif source.is_dir():
            prefix = _import_path(source)
            root, files = source, list(_files(source))
            for depth, parent in enumerate(reversed(prefix.parents), start=0):
                if parent != PurePosixPath():
                    self._add_file(
                        str(parent / "__init__.py"), source.parents[len(prefix.parts) - depth - 1] / "__init__.py"
                    )
        else:
            raise PackageError(f"There is no file or folder {source} to package.")
        for file in files:
            if file.absolute() != self._zip_path:
                self._add_file(str(prefix / file.relative_to(root).as_posix()), file)

    def _add_file(self, name: str, file: Path) -> None:
        content = _read(file, name)
        self._add(name, Entry(content, executable=bool(file.stat().st_mode & 0o100)), str(file))

    def _add(self, name: str, entry: Entry, origin: str) -> None:
        known = self.entries.get(name)
        if known is not None and known.content != entry.content:
            raise PackageError(
                f"Two different files want to be `{name}` in the package: {self._origin[name]} and {origin}."
            )
        self.entries[name] = entry
        self._origin[name] = origin


def _read(file: Path, name: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise PackageError(f"Cannot read {file} for `{name}` in the package: {error.strerror}.") from error


def _archive_name(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise PackageError(
            f"`{name}` is no name for a file in a package. Write a relative one, such as data/names.json."
        )
    return str(path)


def _import_path(folder: Path) -> PurePosixPath:
    """Where the contents of ``folder`` lie: at the root, or, for a Python package, under its import name."""
    parts: list[str] = []
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return PurePosixPath(*parts)


def _files(folder: Path) -> Iterator[Path]:
    """The files under ``folder`` that belong in a package, in a fixed order. Links are followed, circles are not."""
    seen: set[str] = set()
    for current, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        here = Path(current)
        folders[:] = sorted(
            name
            for name in folders
            if not _matches(name, _LEFT_OUT_FOLDERS) and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(files) if not _matches(name, _LEFT_OUT_FILES))


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


def _default_handler(source: Path) -> str:
    source = source.absolute()
    if source.is_file():
        return f"{source.stem}.{ENTRY_FUNCTION}"
    modules = [
        file.name
        for file in sorted(source.glob("*.py"))
        if file.name != "__init__.py" and not _matches(file.name, _LEFT_OUT_FILES)
    ]
    usual = [name for name in _USUAL_MODULES if name in modules]
    if not usual and len(modules) != 1:
        raise PackageError(
            f"Which module of {source} holds the handler? It has no {' or '.join(_USUAL_MODULES)}, and {len(modules)} "
            "modules. Rename it, or name it: handler='module.function'."
        )
    module = usual[0] if usual else modules[0]
    return ".".join((*_import_path(source).parts, module.removesuffix(".py"), ENTRY_FUNCTION))


def _check_handler(handler: str, entries: Mapping[str, Entry], spec: FunctionSpec) -> None:
    """Raise PackageError where Lambda would find no such function, as far as the source shows."""
    module, dot, function = handler.rpartition(".")
    path = module.replace(".", "/")
    name = next((name for name in (f"{path}.py", f"{path}/__init__.py") if name in entries), None)
    if not dot or (name is None and not spec.requirements):
        raise PackageError(f"Handler `{handler}` of `{spec.name}`: the package has no module {path or handler}.py.")
    if name is None:
        return  # a requirement may bring it
    try:
        tree = ast.parse(entries[name].content)
    except (SyntaxError, ValueError) as error:
        raise PackageError(f"{name}: {error}. Python cannot compile it, so Lambda could not run it.") from error
    defined = set(_defined_names(tree))
    if function not in defined and "*" not in defined:
        raise PackageError(f"Handler `{handler}` of `{spec.name}`: {name} defines no `{function}`.")


def _defined_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
