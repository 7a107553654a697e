"""Build a Lambda layer from a function's requirements: installed for Lambda's platform, pruned, zipped and cached.

A layer is identified by the hash of its requirements, so that neither an unchanged deploy nor an edited handler
installs or uploads it again.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
import platform as this_platform
import re
import sysconfig
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import uv
from lambda_toolkit.packaging.archive import Entry, entry_of, write_archive
from lambda_toolkit.packaging.bytecode import can_compile_for, with_bytecode
from lambda_toolkit.packaging.excludes import requirement_filter
from lambda_toolkit.packaging.uv import cache_folder
from lambda_toolkit.spec.declaration.requirements_file import normalized
from lambda_toolkit.spec.limits.quotas import runtime_version
from lambda_toolkit.spec.model import HOST_PLATFORM, FunctionSpec

LAYER_PREFIX = "lambda-script-requirements-"
_LAYER_ROOT = "/opt/python"  # where Lambda extracts a layer's Python modules
_LARGEST_SHOWN = 10
_FORMAT = 2  # increment it when the same requirements would build different content
_PROVIDED = ("boto3", "botocore", "s3transfer")  # part of Lambda's runtime


@dataclass(frozen=True)
class LayerSpec:
    """The inputs of a layer. Equal inputs are the same layer.

    Without a Python of the runtime's version, only the layer without ``bytecode`` can be built, which has another name.
    It is used until a machine with that Python deploys; from then on all machines use the layer with bytecode.
    """

    requirements: tuple[str, ...]
    """In pip's syntax, normalized."""
    runtime: str
    """Such as ``python3.12``."""
    architecture: str
    """``x86_64`` or ``arm64``."""
    platform: str
    """uv's name of the platform."""
    exclude: tuple[str, ...] = ()
    """Globs of excluded files, in addition to the defaults."""
    bytecode: bool = True
    """Whether modules are compiled."""

    @property
    def name(self) -> str:
        """Its name on AWS and in the cache: ``lambda-script-requirements-<hash>``."""
        return LAYER_PREFIX + self.digest[:16]

    @property
    def digest(self) -> str:
        """The SHA-256 of all inputs and of the format, in hexadecimal."""
        parts = [
            _FORMAT,
            self.requirements,
            self.runtime,
            self.architecture,
            self.platform,
            self.exclude,
            self.bytecode,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Layer:
    """A built layer."""

    path: Path
    """The zip archive."""
    zipped: int
    """The size of the archive, in bytes."""
    unzipped: int
    """The size of its files, in bytes."""
    largest: tuple[tuple[str, int], ...]
    """The largest distributions and their sizes in bytes, largest first."""


def layer_of(spec: FunctionSpec) -> LayerSpec | None:
    """The layer of the function ``spec``; ``None`` where it has no requirements."""
    requirements = normalized(spec.requirements)
    if not requirements:
        return None
    platform = spec.platform or lambda_platform(spec.runtime, spec.architecture)
    if platform == HOST_PLATFORM:
        platform = f"host-{sysconfig.get_platform()}-{'-'.join(this_platform.libc_ver())}"
    exclude = tuple(sorted(set(spec.requirements_exclude)))
    return LayerSpec(requirements, spec.runtime, spec.architecture, platform, exclude)


def lambda_platform(runtime: str, architecture: str) -> str:
    """uv's name of the platform of a runtime.

    python3.11 and older run on Amazon Linux 2 (glibc 2.26), later ones on Amazon Linux 2023 (glibc 2.34):
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    """
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[architecture]
    return f"{machine}-{'manylinux2014' if runtime_version(runtime) <= (3, 11) else 'manylinux_2_34'}"


def build_layer(spec: LayerSpec, cache: Path | None = None) -> Layer:
    """Build the layer, or return it from ``cache`` (:func:`cache_folder` by default) where it was built before.

    Raises PackageError where the requirements cannot be installed.
    """
    known = cached_layer(spec, cache)
    if known is not None:
        return known
    path, facts = _files_of(spec, cache)
    folder = path.parent
    if spec.bytecode and not can_compile_for(spec.runtime):
        raise PackageError(f"No Python on this machine compiles for {spec.runtime}.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as workspace:
            installed = Path(workspace) / "python"
            _install(spec, installed)
            entries = _tree(installed, spec)
            _write(path, write_archive(entries), Path(workspace))
            _write(facts, json.dumps(_facts(installed, entries)).encode(), Path(workspace))
    except OSError as error:
        raise PackageError(
            f"Cannot build the requirements {uv.shown(spec.requirements)} in {folder}: {error.strerror or error}. "
            "Set LAMBDA_SCRIPT_CACHE to another folder."
        ) from error
    return _read_layer(path, facts)


def cached_layer(spec: LayerSpec, cache: Path | None = None) -> Layer | None:
    """The layer where it was built on this machine before; otherwise ``None``."""
    path, facts = _files_of(spec, cache)
    return _read_layer(path, facts) if path.is_file() and facts.is_file() else None


@functools.cache
def modules_of(layer: Path) -> frozenset[str]:
    """What can be imported from the layer in the archive ``layer``, as ``module_index.module_names`` returns it."""
    from lambda_toolkit.packaging.imports.module_index import module_names  # on use: most layers are not looked into

    with zipfile.ZipFile(layer) as archive:
        return module_names(name.removeprefix("python/") for name in archive.namelist() if not name.endswith(".pyc"))


def _files_of(spec: LayerSpec, cache: Path | None) -> tuple[Path, Path]:
    folder = (cache or cache_folder()) / "layers"
    return folder / f"{spec.name}.zip", folder / f"{spec.name}.json"


def _read_layer(path: Path, facts: Path) -> Layer:
    known = json.loads(facts.read_text(encoding="utf-8"))
    largest = tuple((str(name), int(size)) for name, size in known["largest"])
    return Layer(path, path.stat().st_size, int(known["unzipped"]), largest)


def _write(path: Path, content: bytes, workspace: Path) -> None:
    """Write atomically: another process may read the file at the same time."""
    partial = workspace / path.name
    partial.write_bytes(content)
    partial.replace(path)


def _install(spec: LayerSpec, target: Path) -> None:
    listed = target.with_name("requirements.txt")
    listed.write_text("".join(f"{line}\n" for line in spec.requirements), encoding="utf-8")
    here = spec.platform.startswith("host-")
    uv.install(
        listed,
        target,
        version=None if here else spec.runtime.removeprefix("python"),
        platform=None if here else spec.platform,
        what=f"The requirements {uv.shown(spec.requirements)} cannot be installed for {spec.runtime} on "
        f"{spec.platform}, from wheels alone:",
    )


def _tree(installed: Path, spec: LayerSpec) -> dict[str, Entry]:
    """The layer's files, with bytecode, by their names in the archive."""
    requested = {re.split(r"[^A-Za-z0-9]", line.lower())[0] for line in spec.requirements}
    provided = [f"{name}{rest}/**" for name in _PROVIDED if name not in requested for rest in ("", "-*.dist-info")]
    imported = (f"!{folder}/**" for folder in _imported_tests(installed))
    excluded = requirement_filter((*spec.exclude, *imported), provided)
    entries: dict[str, Entry] = {}
    for file in sorted(installed.rglob("*")):
        name = file.relative_to(installed).as_posix()
        if file.is_file() and not excluded.fullmatch(name):
            entries[name] = entry_of(file, file.read_bytes())
    if spec.bytecode:
        entries = with_bytecode(entries, _LAYER_ROOT, spec.runtime, strict=False)
    return {f"python/{name}": entry for name, entry in entries.items()}


def _imported_tests(installed: Path) -> set[str]:
    """Test folders that modules outside of them import, as numpy.testing does: they must not be excluded."""
    folders = [path.relative_to(installed).as_posix() for path in installed.rglob("tests") if path.is_dir()]
    found: set[str] = set()
    by_package: dict[str, list[str]] = {}
    for folder in folders:
        by_package.setdefault(folder.partition("/")[0], []).append(folder)
    for package, own in by_package.items():
        for module in (installed / package).rglob("*.py"):
            if "tests" not in module.relative_to(installed).parts:
                text = module.read_bytes()
                found |= {folder for folder in own if f" {folder.replace('/', '.')}".encode() in text}
    return found


def _facts(installed: Path, entries: Mapping[str, Entry]) -> dict[str, object]:
    sizes = _sizes_of(installed, {name.removeprefix("python/"): len(entry.content) for name, entry in entries.items()})
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LARGEST_SHOWN]
    return {"unzipped": sum(sizes.values()), "largest": largest}


def _sizes_of(installed: Path, files: Mapping[str, int]) -> dict[str, int]:
    """Bytes per distribution, such as ``pyarrow 24.0.0``. ``files`` maps paths below ``installed`` to their sizes.

    A module's bytecode counts for the module's distribution. A file without one counts for its top-level folder.
    """
    owner = _owners(installed)
    sizes: dict[str, int] = {}
    for name, size in files.items():
        top = name.partition("/")[0]
        distribution = owner.get(name) or owner.get(_module_of(name)) or top
        sizes[distribution] = sizes.get(distribution, 0) + size
    return sizes


def _owners(installed: Path) -> dict[str, str]:
    owner: dict[str, str] = {}
    for record in sorted(installed.glob("*.dist-info/RECORD")):
        name, _, version = record.parent.name.removesuffix(".dist-info").partition("-")
        with record.open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                owner[row[0]] = f"{name} {version}"
    return owner


def _module_of(name: str) -> str:
    """``a/__pycache__/b.cpython-313.pyc`` as ``a/b.py``; other names as they are."""
    folder, cached, file = name.rpartition("__pycache__/")
    return f"{folder}{file.partition('.')[0]}.py" if cached else name
