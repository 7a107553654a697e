"""The check of a function's imports: what it raises, what it notes, and what it says to do about each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging.archive import code_sha256
from lambda_toolkit.packaging.excludes import is_excluded_file, is_excluded_folder
from lambda_toolkit.packaging.function_zip import Package
from lambda_toolkit.packaging.layer_zip import Layer, LayerSpec, modules_of
from lambda_toolkit.packaging.uv import cache_folder
from lambda_toolkit.spec.limits.quotas import runtime_version
from lambda_toolkit.spec.model import FunctionSpec

if TYPE_CHECKING:
    from lambda_toolkit.packaging.imports.compiled_modules import Platform
    from lambda_toolkit.packaging.imports.import_check import MissingImport

EVERYTHING = "*"
_FORMAT = 1  # increment it when the check finds more
_MOST_SHOWN = 20
_DISTRIBUTIONS = {  # whose modules have other names; what is installed beside this Python is asked first
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
}


@dataclass(frozen=True)
class ImportProblems:
    """What the check found."""

    errors: tuple[PackageError, ...] = ()
    """Imports without which the function cannot start."""
    notes: tuple[str, ...] = ()
    """Imports that may never run, as sentences without the final period."""


def check_imports(spec: FunctionSpec, package: Package, layer: LayerSpec | None, built: Layer | None) -> ImportProblems:
    """The imports of ``package`` that would fail on Lambda.

    ``built`` is its ``layer`` on this machine. Where it was never built here, what the package does not have may be in
    it, and is not missing; nor is it where ``spec.layers`` names layers of others. Modules that
    ``spec.provided_modules`` names count as there; with ``*`` in it, nothing is checked. A package that passed is not
    read again: the cache has its hash.
    """
    if EVERYTHING in spec.provided_modules:
        return ImportProblems()
    environment = {
        name: value
        for name, value in (spec.environment or {}).items()
        if name in ("PYTHONPATH", "AWS_LAMBDA_EXEC_WRAPPER")
    }
    layers = f"{layer.name if layer else ''} {built is not None}{' '.join(('', *spec.layers))}"
    passed = _Passed(spec, package, layers, environment)
    if passed.is_known():
        return ImportProblems()
    from lambda_toolkit.packaging.imports import statements_cache  # imported on use: most packages passed before
    from lambda_toolkit.packaging.imports.compiled_modules import Platform
    from lambda_toolkit.packaging.imports.import_check import Sources, missing_imports

    platform = Platform(runtime_version(spec.runtime), spec.architecture)
    modules: frozenset[str] | None = modules_of(built.path) if built else None if layer else frozenset()
    if spec.layers:
        modules = None  # what is in a layer that others made is not known
    sources = Sources(package.sources, package.handler, modules, platform, environment, spec.provided_modules)
    statements_cache.load(_folder())
    found = missing_imports(sources)
    statements_cache.save(_folder())
    if not found:
        passed.remember()
        return ImportProblems()
    advisor = _Advisor(spec, package, platform)
    certain = [each for each in found if each.certain]
    return ImportProblems(
        tuple(PackageError(f"{advisor.sentence(each)} {advisor.advice(each)}") for each in certain[:_MOST_SHOWN]),
        tuple(f"{advisor.sentence(each)} {advisor.advice(each)}".rstrip(".") for each in found if not each.certain),
    )


def _folder() -> Path:
    return cache_folder() / "imports"


class _Passed:
    """Whether a function's package passed the check before, on this machine: one file for each function."""

    def __init__(self, spec: FunctionSpec, package: Package, layer: str, environment: dict[str, str]) -> None:
        given = sorted(spec.provided_modules)
        parts = [_FORMAT, package.digest, package.handler, spec.runtime, spec.architecture, layer, environment, given]
        self._key = code_sha256(json.dumps(parts, sort_keys=True).encode())
        self._file = _folder() / f"passed-{spec.name}"

    def is_known(self) -> bool:
        """Whether it did."""
        try:
            return self._file.read_text(encoding="utf-8") == self._key
        except OSError:
            return False

    def remember(self) -> None:
        """Note that it did, where the cache can be written."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            partial.write_text(self._key, encoding="utf-8")
            partial.replace(self._file)
        except OSError:
            return


class _Advisor:
    def __init__(self, spec: FunctionSpec, package: Package, platform: Platform) -> None:
        self._spec = spec
        self._package = package
        self._platform = platform
        self._source = Path(os.path.normpath(spec.source.absolute()))

    def sentence(self, found: MissingImport) -> str:
        """Where, and what is wrong."""
        runs = "" if found.certain else ", if it runs"
        begin = f"{found.file} of `{self._spec.name}`, line {found.line}: `{found.statement}` fails on Lambda{runs}:"
        name = found.missing
        if found.level:
            return f"{begin} the dots lead out of the package, as {found.file} is not in a Python package that deep."
        if found.wrong:
            return f"{begin} {found.wrong} is made for {found.made_for}, and the function runs on {self._platform}."
        if found.names:
            return f"{begin} {found.names} of the package has no `{name.rpartition('.')[2]}`."
        from lambda_toolkit.packaging.imports.runtime_modules import other_versions

        known = other_versions(name, self._platform.version)
        if known:
            return f"{begin} {known}."
        if "." in name and self._is_own(name.partition(".")[0]):
            return f"{begin} the package has no {name}."
        if self._spec.requirements:
            return f"{begin} neither package, nor requirements, nor Lambda's {self._runtime()} has `{name}`."
        return f"{begin} neither the package nor Lambda's {self._runtime()} has `{name}`, and nothing is required."

    def advice(self, found: MissingImport) -> str:
        """What to do."""
        top = found.missing.partition(".")[0]
        if found.level:
            dots = "." * found.level
            plain = found.statement.replace(f"from {dots}", "from ", 1).replace("from  import", "import", 1)
            plain = plain.replace(f'"{dots}', '"', 1)
            return f"Write it without dots, `{plain}`, or put the code into a folder with __init__.py."
        if found.wrong:
            return (
                f"Take it out of the folder and write `{self._distribution(top)}` into `requirements`, which are "
                f"installed for Lambda's platform; or add `{top}` to `provided_modules`."
            )
        beside = next(self._beside(found), None)
        if beside:
            return beside
        given = f"If it is there all the same, add `{found.missing}` to `provided_modules`."
        if found.names or self._is_own(top):
            return f"Is the name right? {given}"
        return f"Add `{self._distribution(top)}` to `requirements`, or the file to `include`. {given}"

    def _runtime(self) -> str:
        return f"Python {self._platform.version[0]}.{self._platform.version[1]}"

    def _is_own(self, top: str) -> bool:
        return any(name.startswith((f"{top}/", f"{top}.")) for name in self._package.sources)

    def _beside(self, found: MissingImport) -> Iterator[str]:
        """Files on this machine that would be the module."""
        path = found.missing.replace(".", "/")
        folder = self._source if self._source.is_dir() else self._source.parent
        for place in dict.fromkeys((folder, folder.parent, *(each.absolute().parent for each in self._spec.include))):
            for file in (place / f"{path}.py", place / path):
                if not file.exists() or (file.is_dir() and not any(file.glob("*.py"))):
                    continue
                shown = os.path.relpath(file)
                parts = file.relative_to(place).parts
                if is_excluded_file(file.name) or any(map(is_excluded_folder, parts)):
                    yield f"{shown} is excluded from packages, as tests and hidden files are: give it another name."
                elif "/" not in path:
                    yield f"{shown} is on this machine: add it to `include`."
                else:
                    yield f"{shown} is on this machine: add {os.path.relpath(place / parts[0])} to `include`."

    def _distribution(self, module: str) -> str:
        """The name to require for a top-level module."""
        import importlib.metadata

        installed: Sequence[str] = importlib.metadata.packages_distributions().get(module, ())
        return installed[0] if installed else _DISTRIBUTIONS.get(module, module)
