"""Build a function's package from its source, reproducibly: the same bytes on every machine.

- A file is put at the root of the package under its own name.
- The contents of a folder without ``__init__.py`` are put at the root.
- A folder with ``__init__.py`` is a Python package and keeps its import name, with its parents' ``__init__.py``. Import
  names are relative to the spec's ``package_root``, or else to the closest folder that is not a Python package: the
  same function has the same package in a checkout and inside an installed package.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging.archive import Entry, code_sha256, content_digest, entry_of, write_archive
from lambda_toolkit.packaging.bytecode import can_compile_for, missing_note, with_bytecode
from lambda_toolkit.packaging.excludes import (
    credentials_folder,
    is_excluded_file,
    is_excluded_folder,
    secret_reason,
)
from lambda_toolkit.packaging.imports.import_statements import read
from lambda_toolkit.spec.limits.quotas import runtime_version
from lambda_toolkit.spec.model import THIS_RUNTIME, FunctionSpec

CODE_ROOT = "/var/task"  # where Lambda extracts the package
ENTRY_FUNCTION = "lambda_handler"
_MOST_FILES = 50_000  # of one folder: Lambda's 250 MiB are reached before
_USUAL_MODULES = ("lambda_function.py", "handler.py")


@dataclass(frozen=True)
class Package:
    """A function's deployment package."""

    content: bytes = field(repr=False)
    """The zip archive."""
    sha256: str
    """Lambda's ``CodeSha256`` of the archive."""
    handler: str
    """``module.function``."""
    unzipped: int
    """The size of all files, in bytes."""
    sizes: Mapping[str, int] = field(repr=False)
    """The size of each file in bytes, by its name in the archive."""
    digest: str = ""
    """The hash of the files without bytecode, which is the package's identity: another machine may compile slightly
    differently, or not at all."""
    has_bytecode: bool = False
    """Whether the modules' bytecode is included."""
    notes: tuple[str, ...] = ()
    """What was excluded because it looks like a secret."""
    sources: Mapping[str, Entry] = field(default_factory=dict, repr=False)
    """The files without bytecode, by their names in the archive."""

    @property
    def fingerprint(self) -> str:
        """The package's fingerprint, stored with each release: digest, ``pyc`` or ``py``, and sha256."""
        return f"{self.digest[:32]}/{'pyc' if self.has_bytecode else 'py'}/{self.sha256}"

    def is_deployed(self, live_sha256: str, fingerprint: str = "") -> bool:
        """Whether a function with the ``CodeSha256`` ``live_sha256``, released as ``fingerprint``, runs this package.

        Equal sources are enough, unless only this package has bytecode: a package without bytecode does not replace one
        with it, nor does one that was compiled slightly differently.
        """
        if live_sha256 == self.sha256:
            return True
        digest, _, rest = fingerprint.partition("/")
        kind, _, released_sha256 = rest.partition("/")
        if live_sha256 != released_sha256 or digest != self.digest[:32]:
            return False  # changed outside the toolkit since, or built from other sources
        return kind == "pyc" or not self.has_bytecode

    def as_deployed(self, live_sha256: str, fingerprint: str) -> Package:
        """This package with the hash of the live one, where :meth:`is_deployed`; otherwise unchanged."""
        if live_sha256 == self.sha256 or not self.is_deployed(live_sha256, fingerprint):
            return self
        return replace(self, sha256=live_sha256, has_bytecode=fingerprint.split("/")[1] == "pyc")


def build(spec: FunctionSpec) -> Package:
    """Build the package of ``spec``. Raises PackageError, whose message names the file, where that is impossible."""
    collected = _Collected(spec)
    handler = spec.handler or _default_handler(spec)
    sources: Mapping[str, Entry] = collected.entries
    _check_handler(handler, sources, spec)
    entries = with_bytecode(sources, CODE_ROOT, spec.runtime, strict=True)
    content = write_archive(entries)
    sizes = {name: len(entry.content) for name, entry in entries.items()}
    return Package(
        content,
        code_sha256(content),
        handler,
        sum(sizes.values()),
        sizes,
        digest=content_digest(sources),
        has_bytecode=can_compile_for(spec.runtime),
        notes=tuple(collected.notes(spec.name)),
        sources=sources,
    )


def bytecode_note(spec: FunctionSpec) -> str | None:
    """The note for packages of ``spec`` without bytecode; ``None`` where they have it."""
    return None if can_compile_for(spec.runtime) else missing_note(f"`{spec.name}`", spec.runtime)


class _Collected:
    """The files of a package before compilation, by their names in the archive."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.entries: dict[str, Entry] = {}
        self._origin: dict[str, str] = {}
        self._secrets: dict[str, str] = {}
        self._others: dict[str, str] = {}
        self._places = tuple(os.path.realpath(place) for place in (spec.source, *spec.include))
        self._zip_path = spec.zip_path.absolute() if spec.zip_path else None
        self._root = spec.package_root
        for source in (spec.source, *spec.include):
            self._add_source(source)
        for name, content in sorted(spec.extra_files.items()):
            file = content if isinstance(content, Path) else None
            if isinstance(content, Path):
                content = _read(content, f"extra file `{name}`")
            _reject_secret(name, content, f"extra_files[{name!r}]", file)
            self._add(_archive_name(name), Entry(content), f"extra_files[{name!r}]")

    def notes(self, function: str) -> Iterator[str]:
        """Notes on what was excluded from folders: files that look like secrets; links and what is not a file."""
        for excluded, advice in (
            (self._secrets, "Lambda can read secrets from Secrets Manager; name public files in extra_files."),
            (self._others, "Name what a link leads to in `include` or extra_files if it belongs to the function."),
        ):
            if excluded:
                files = ", ".join(f"{file} ({reason})" for file, reason in sorted(excluded.items()))
                yield f"Excluded from the package of `{function}`: {files}. {advice}"

    def _add_source(self, source: Path) -> None:
        source = Path(os.path.normpath(source.absolute()))
        if source.is_file():
            _reject_secret(source.name, _read(source, source.name), str(source), source)
            prefix, files = PurePosixPath(), [source]
            root = source.parent
        elif source.is_dir():
            prefix = _import_path(source, self._root)
            root, files = source, list(self._files(source, str(prefix)))
            for depth, parent in enumerate(reversed(prefix.parents), start=0):
                if parent != PurePosixPath():
                    self._add_file(
                        str(parent / "__init__.py"), source.parents[len(prefix.parts) - depth - 1] / "__init__.py"
                    )
        else:
            raise PackageError(f"There is no file or folder {source} to package.")
        for file in files:
            if file.absolute() != self._zip_path:
                self._add_found(str(prefix / file.relative_to(root).as_posix()), file)

    def _add_found(self, name: str, file: Path) -> None:
        """Add a file of a folder, unless it is excluded."""
        excluded = is_excluded_file(file.name)
        if excluded or not self._is_other(name, file):
            reason = _secret_reason(file.name, b"" if excluded else _read(file, name), file)
            if reason:
                self._secrets[name] = reason
            elif not excluded:
                self._add_file(name, file)

    def _files(self, folder: Path, name: str) -> Iterator[Path]:
        """The files under ``folder``, ``name`` in the package, that are not in excluded folders, sorted.

        Follows links to folders of the function, except to those that the link itself is in.
        """
        above = {str(folder): frozenset({os.path.realpath(folder)})}
        count = 0
        for current, folders, files in os.walk(folder, followlinks=True):
            here, inside = Path(current), PurePosixPath(name, Path(current).relative_to(folder).as_posix())
            followed = []
            for child in sorted(folders):
                path, real = here / child, os.path.realpath(here / child)
                if is_excluded_folder(child) or (path / "pyvenv.cfg").exists() or self._is_other(inside / child, path):
                    continue
                if real in above[current]:
                    self._others[str(inside / child)] = "it is a link to a folder that it is in"
                    continue
                above[str(path)] = above[current] | {real}
                followed.append(child)
            folders[:] = followed
            count += len(files)
            if count > _MOST_FILES:
                raise PackageError(f"{folder} has more than {_MOST_FILES:,} files: do links in it lead to each other?")
            yield from (here / file for file in sorted(files))

    def _is_other(self, name: object, path: Path) -> bool:
        """Whether ``path`` is nothing of the function's: it leads elsewhere, or is neither a file nor a folder."""
        reason = None
        if path.is_symlink() and not self._is_inside(real := Path(os.path.realpath(path))):
            reason = f"it is a link that leads outside, to {real}"
        elif path.exists() and not (path.is_file() or path.is_dir()):
            reason = "it is not a file: a pipe, socket or device"
        if reason:
            self._others[str(name)] = reason
        return reason is not None

    def _is_inside(self, real: Path) -> bool:
        return any(real.is_relative_to(place) for place in self._places)

    def _add_file(self, name: str, file: Path) -> None:
        self._add(name, entry_of(file, _read(file, name)), str(file))

    def _add(self, name: str, entry: Entry, origin: str) -> None:
        known = self.entries.get(name)
        if known is not None and known.content != entry.content:
            raise PackageError(
                f"Two different files have the name `{name}` in the package: {self._origin[name]} and {origin}."
            )
        self.entries[name] = entry
        self._origin[name] = origin


def _read(file: Path, name: str) -> bytes:
    if file.exists() and not file.is_file():  # reading a pipe would wait for a writer
        raise PackageError(f"Cannot read {file} for `{name}` in the package: it is not a file.")
    try:
        return file.read_bytes()
    except OSError as error:
        raise PackageError(f"Cannot read {file} for `{name}` in the package: {error.strerror}.") from error


def _secret_reason(name: str, content: bytes, file: Path | None) -> str | None:
    """Why a file is taken for a secret: by its name in the package, by its own, or by what it is a link to."""
    real = Path(os.path.realpath(file)) if file else None
    names = (name, *(path.name for path in (file, real) if path))
    reasons = (secret_reason(path, content) for path in dict.fromkeys(names))
    folder = credentials_folder(real.as_posix()) if real else None
    return next(filter(None, reasons), f"it is in {folder}" if folder else None)


def _reject_secret(name: str, content: bytes, origin: str, file: Path | None) -> None:
    reason = _secret_reason(name, content, file)
    if reason:
        raise PackageError(
            f"{origin} must not be in a package: {reason}, and everyone who may read the function's code could read "
            "it. Store the secret in Secrets Manager and permit the function to read it, or rename the file if it is "
            "public."
        )


def _archive_name(name: str) -> str:
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\\" in name:
        raise PackageError(
            f"`{name}` is not a valid name for a file in a package. Use a relative path, such as data/names.json."
        )
    return str(path)


def _import_path(folder: Path, root: Path | None) -> PurePosixPath:
    """The path of ``folder`` in the package: its import name below ``root``; empty unless it is a Python package."""
    parts: list[str] = []
    end = Path(os.path.normpath(root.absolute())) if root else None
    while folder != end and (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return PurePosixPath(*parts)


def _default_handler(spec: FunctionSpec) -> str:
    source = Path(os.path.normpath(spec.source.absolute()))
    if source.is_file():
        return f"{source.stem}.{ENTRY_FUNCTION}"
    modules = [
        file.name
        for file in sorted(source.glob("*.py"))
        if file.name != "__init__.py" and not is_excluded_file(file.name)
    ]
    usual = [name for name in _USUAL_MODULES if name in modules]
    if not usual and len(modules) != 1:
        raise PackageError(
            f"Which module of {source} has the handler? It has no {' or '.join(_USUAL_MODULES)}, and {len(modules)} "
            "modules. Rename it, or name it: handler='module.function'."
        )
    module = usual[0] if usual else modules[0]
    return ".".join((*_import_path(source, spec.package_root).parts, module.removesuffix(".py"), ENTRY_FUNCTION))


def _check_handler(handler: str, entries: Mapping[str, Entry], spec: FunctionSpec) -> None:
    """Raise PackageError where the source shows that Lambda would not find the handler."""
    module, dot, function = handler.rpartition(".")
    path = module.replace(".", "/")
    name = next((name for name in (f"{path}.py", f"{path}/__init__.py") if name in entries), None)
    if not dot or (name is None and not spec.requirements):
        raise PackageError(f"Handler `{handler}` of `{spec.name}`: the package has no module {path or handler}.py.")
    if name is None:
        return  # it may be in a requirement
    try:
        defined = read(entries[name].content, runtime_version(spec.runtime))
    except (SyntaxError, ValueError) as error:
        if spec.runtime != THIS_RUNTIME and can_compile_for(spec.runtime):
            return  # another version's grammar: its own compiler reports the error
        raise PackageError(f"{name}: {error}. Python cannot compile it, so Lambda could not run it.") from error
    if function not in defined.names and not defined.defines_more:
        raise PackageError(f"Handler `{handler}` of `{spec.name}`: {name} defines no `{function}`.")
