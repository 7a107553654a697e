"""A function's requirements as a Lambda layer: installed for Lambda's platform, pruned, zipped, and kept on disk.

A layer is known by the hash of what was asked for, so that neither an unchanged deploy nor an edited handler installs
or uploads it again.
"""

from __future__ import annotations

import hashlib
import json
import platform as this_platform
import re
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging import uv
from lambda_toolkit.packaging.archive import Entry, entry_of, write_archive
from lambda_toolkit.packaging.bytecode import can_compile_for, with_bytecode
from lambda_toolkit.packaging.cache import cache_folder
from lambda_toolkit.packaging.distributions import sizes_of
from lambda_toolkit.packaging.excludes import requirement_filter
from lambda_toolkit.spec.model import HOST_PLATFORM, FunctionSpec
from lambda_toolkit.spec.quotas import runtime_version
from lambda_toolkit.spec.requirements_file import normalized

LAYER_PREFIX = "lambda-script-requirements-"
_LAYER_ROOT = "/opt/python"
_LARGEST_SHOWN = 10
_FORMAT = 2  # raise it when the same requirements would give other content
_PROVIDED = ("boto3", "botocore", "s3transfer")  # Lambda's runtime has them


@dataclass(frozen=True)
class LayerSpec:
    """What a layer is made from. ``name`` is its name on AWS and in the cache.

    Where no Python of the runtime's version is to be had, there is only the layer without ``bytecode``, under another
    name. It stands in until somebody deploys who can compile; from then on all use the one with bytecode, also those
    who could not have made it.
    """

    requirements: tuple[str, ...]
    runtime: str
    architecture: str
    platform: str
    exclude: tuple[str, ...] = ()
    bytecode: bool = True

    @property
    def name(self) -> str:
        """``lambda-script-requirements-<hash>``."""
        return LAYER_PREFIX + self.digest[:16]

    @property
    def digest(self) -> str:
        """The hash of everything that decides about the content."""
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
    """A layer's zip on disk. Sizes are in bytes; ``largest`` names the distributions that weigh most."""

    path: Path
    zipped: int
    unzipped: int
    largest: tuple[tuple[str, int], ...]


def layer_of(spec: FunctionSpec) -> LayerSpec | None:
    """The layer that ``spec`` needs, or ``None`` where it has no requirements."""
    requirements = normalized(spec.requirements)
    if not requirements:
        return None
    platform = spec.platform or lambda_platform(spec.runtime, spec.architecture)
    if platform == HOST_PLATFORM:
        platform = f"host-{sysconfig.get_platform()}-{'-'.join(this_platform.libc_ver())}"
    exclude = tuple(sorted(set(spec.requirements_exclude)))
    return LayerSpec(requirements, spec.runtime, spec.architecture, platform, exclude)


def lambda_platform(runtime: str, architecture: str) -> str:
    """uv's name for the platform of a runtime.

    python3.11 and older run on Amazon Linux 2 (glibc 2.26), later ones on Amazon Linux 2023 (glibc 2.34):
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    """
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[architecture]
    return f"{machine}-{'manylinux2014' if runtime_version(runtime) <= (3, 11) else 'manylinux_2_34'}"


def build_layer(spec: LayerSpec, cache: Path | None = None) -> Layer:
    """The zip of ``spec``, from ``cache`` where it was built before.

    Raises PackageError where the requirements cannot be installed.
    """
    known = cached_layer(spec, cache)
    if known is not None:
        return known
    path, facts = _files_of(spec, cache)
    folder = path.parent
    if spec.bytecode and not can_compile_for(spec.runtime):
        raise PackageError(f"There is no Python that compiles for {spec.runtime}.")
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
            "Name another folder in LAMBDA_SCRIPT_CACHE."
        ) from error
    return _read_layer(path, facts)


def cached_layer(spec: LayerSpec, cache: Path | None = None) -> Layer | None:
    """The zip of ``spec`` where it was built before on this machine."""
    path, facts = _files_of(spec, cache)
    return _read_layer(path, facts) if path.is_file() and facts.is_file() else None


def _files_of(spec: LayerSpec, cache: Path | None) -> tuple[Path, Path]:
    folder = (cache or cache_folder()) / "layers"
    return folder / f"{spec.name}.zip", folder / f"{spec.name}.json"


def _read_layer(path: Path, facts: Path) -> Layer:
    known = json.loads(facts.read_text(encoding="utf-8"))
    largest = tuple((str(name), int(size)) for name, size in known["largest"])
    return Layer(path, path.stat().st_size, int(known["unzipped"]), largest)


def _write(path: Path, content: bytes, workspace: Path) -> None:
    """Whole or not at all: another process may look for it meanwhile."""
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
    """The installed files that go into the layer, by their names in it, with their bytecode."""
    asked_for = {re.split(r"[^A-Za-z0-9]", line.lower())[0] for line in spec.requirements}
    provided = [f"{name}{rest}/**" for name in _PROVIDED if name not in asked_for for rest in ("", "-*.dist-info")]
    imported = (f"!{folder}/**" for folder in _imported_tests(installed))
    left_out = requirement_filter((*spec.exclude, *imported), provided)
    entries: dict[str, Entry] = {}
    for file in sorted(installed.rglob("*")):
        name = file.relative_to(installed).as_posix()
        if file.is_file() and not left_out.fullmatch(name):
            entries[name] = entry_of(file, file.read_bytes())
    if spec.bytecode:
        entries = with_bytecode(entries, _LAYER_ROOT, spec.runtime, strict=False)
    return {f"python/{name}": entry for name, entry in entries.items()}


def _imported_tests(installed: Path) -> set[str]:
    """Folders of tests that modules outside of them import by name, as numpy.testing does."""
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
    sizes = sizes_of(installed, {name.removeprefix("python/"): len(entry.content) for name, entry in entries.items()})
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LARGEST_SHOWN]
    return {"unzipped": sum(sizes.values()), "largest": largest}
