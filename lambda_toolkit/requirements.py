"""A function's requirements as a Lambda layer: installed for Lambda's platform, pruned, zipped, and kept on disk.

A layer is known by the hash of what was asked for, so that neither an unchanged deploy nor an edited handler installs
or uploads it again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform as this_platform
import re
import shutil
import ssl
import subprocess  # nosec B404: uv is run from a list of arguments
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lambda_toolkit.archive import Entry, can_compile_for, with_bytecode, write_archive
from lambda_toolkit.errors import PackageError
from lambda_toolkit.limits import runtime_version
from lambda_toolkit.model import HOST_PLATFORM, FunctionSpec

LAYER_PREFIX = "lambda-script-requirements-"
_LAYER_ROOT = "/opt/python"
_FORMAT = 1  # raise it when the same requirements would give other content
_PROVIDED = ("boto3", "botocore", "s3transfer")  # Lambda's runtime has them
_ALWAYS_LEFT_OUT = (  # scripts, caches, and what tells where and when it was installed
    "bin/**",
    ".lock",
    "**/__pycache__/**",
    "**/*.pyc",
    *(f"*.dist-info/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")),
)
_LARGEST_SHOWN = 5


@dataclass(frozen=True)
class LayerSpec:
    """What a layer is made from. ``name`` is its name on AWS and in the cache."""

    requirements: tuple[str, ...]
    runtime: str
    architecture: str
    platform: str
    exclude: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """``lambda-script-requirements-<hash>``."""
        return LAYER_PREFIX + self.digest[:16]

    @property
    def digest(self) -> str:
        """The hash of everything that decides about the content."""
        parts = [_FORMAT, self.requirements, self.runtime, self.architecture, self.platform, self.exclude]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Layer:
    """A layer's zip on disk. ``zipped`` and ``unzipped`` are in bytes; ``largest`` names what weighs most."""

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


def normalized(lines: Iterable[str]) -> tuple[str, ...]:
    """Requirements without comments, blank lines and repetitions, in a fixed order."""
    bare = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines)
    return tuple(sorted({re.sub(r"\s+", " ", line) for line in bare if line}))


def read_requirements(file: Path) -> tuple[str, ...]:
    """The requirements that ``file`` lists. Raises PackageError."""
    try:
        return normalized(file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines())
    except OSError as error:
        raise PackageError(f"Cannot read the requirements {file}: {error.strerror}.") from error


def lambda_platform(runtime: str, architecture: str) -> str:
    """uv's name for the platform of a runtime.

    python3.11 and older run on Amazon Linux 2 (glibc 2.26), later ones on Amazon Linux 2023 (glibc 2.34):
    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    """
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[architecture]
    return f"{machine}-{'manylinux2014' if runtime_version(runtime) <= (3, 11) else 'manylinux_2_34'}"


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where built layers are kept: ``LAMBDA_SCRIPT_CACHE``, or ``lambda_script`` in the user's cache folder."""
    if environ.get("LAMBDA_SCRIPT_CACHE"):
        return Path(environ["LAMBDA_SCRIPT_CACHE"])
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambda_script"


def build_layer(spec: LayerSpec, cache: Path | None = None) -> Layer:
    """The zip of ``spec``, from ``cache`` where it was built before.

    Raises PackageError where the requirements cannot be installed.
    """
    folder = (cache or cache_folder()) / "layers"
    path, facts = folder / f"{spec.name}.zip", folder / f"{spec.name}.json"
    if not (path.is_file() and facts.is_file()):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as workspace:
            installed = Path(workspace) / "python"
            _install(spec, installed)
            entries = _tree(installed, spec)
            _write(path, write_archive(entries), Path(workspace))
            _write(facts, json.dumps(_facts(entries)).encode(), Path(workspace))
    known = json.loads(facts.read_text(encoding="utf-8"))
    largest = tuple((str(name), int(size)) for name, size in known["largest"])
    return Layer(path, path.stat().st_size, int(known["unzipped"]), largest)


def _write(path: Path, content: bytes, workspace: Path) -> None:
    """Whole or not at all: another process may look for it meanwhile."""
    partial = workspace / path.name
    partial.write_bytes(content)
    partial.replace(path)


def _install(spec: LayerSpec, target: Path) -> None:
    command = [
        _uv(),
        "pip",
        "install",
        "--quiet",
        "--target",
        str(target),
        "--only-binary",
        ":all:",
        "--link-mode",
        "copy",
    ]
    command += ["--python", sys.executable]
    if not spec.platform.startswith("host-"):
        version = ".".join(map(str, runtime_version(spec.runtime)))
        command += ["--python-version", version, "--python-platform", spec.platform]
    done = subprocess.run(
        [*command, "--", *spec.requirements], env=uv_environment(), capture_output=True, text=True, check=False
    )  # nosec B603
    if done.returncode:
        reason = "\n".join(done.stderr.strip().splitlines()[-12:])
        raise PackageError(
            f"The requirements {', '.join(spec.requirements)} cannot be installed for {spec.runtime} on "
            f"{spec.platform} (only wheels are taken):\n{reason}"
        )


def uv_environment() -> dict[str, str]:
    """This process's environment for uv, which shall trust what the system trusts, such as a proxy, as pip does."""
    environment = dict(os.environ)
    trusted = ssl.get_default_verify_paths()
    if trusted.cafile or trusted.capath:
        environment.setdefault("UV_SYSTEM_CERTS", "1")
    return environment


def _uv() -> str:
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        found = shutil.which("uv")
        if found is None:
            raise PackageError("uv is needed to install requirements. Try: pip install uv") from error
        return found


def _tree(installed: Path, spec: LayerSpec) -> dict[str, Entry]:
    """The installed files that go into the layer, by their names in it, with their bytecode."""
    asked_for = {re.split(r"[^A-Za-z0-9]", line.lower())[0] for line in spec.requirements}
    provided = [f"{name}{rest}/**" for name in _PROVIDED if name not in asked_for for rest in ("", "-*.dist-info")]
    left_out = _matcher((*_ALWAYS_LEFT_OUT, *spec.exclude, *provided))
    entries: dict[str, Entry] = {}
    for file in sorted(installed.rglob("*")):
        name = file.relative_to(installed).as_posix()
        if file.is_file() and not left_out.fullmatch(name):
            entries[name] = Entry(file.read_bytes())
    if can_compile_for(spec.runtime):
        entries = with_bytecode(entries, _LAYER_ROOT, strict=False)
    return {f"python/{name}": entry for name, entry in entries.items()}


def _matcher(globs: Sequence[str]) -> re.Pattern[str]:
    """``*`` and ``?`` stay within one folder, ``**`` does not."""
    return re.compile("|".join("".join(_glob_parts(glob)) for glob in globs))


def _glob_parts(glob: str) -> Iterator[str]:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob):
        yield known.get(part) or re.escape(part)


def _facts(entries: Mapping[str, Entry]) -> dict[str, object]:
    sizes: dict[str, int] = {}
    for name, entry in entries.items():
        top = name.split("/")[1]
        sizes[top] = sizes.get(top, 0) + len(entry.content)
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_LARGEST_SHOWN]
    return {"unzipped": sum(sizes.values()), "largest": largest}
