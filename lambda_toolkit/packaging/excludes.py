"""Which files are excluded from packages: those not needed at run time, and those with secrets.

Globs: ``*`` and ``?`` match within one path segment, ``**`` matches across segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch

SOURCE_FOLDERS = (  # folders of a function's source, at any depth
    "__pycache__",
    "tests",
    "node_modules",
    "venv",
    "*.egg-info",
    ".*",  # .git, .hg, .svn, .aws, .ssh, .terraform, .venv, .idea, .mypy_cache ...
)
SOURCE_FILES = (  # files of a function's source, at any depth
    "*.pyc",
    "*.pyo",
    "*.pyi",
    "*~",
    "*.swp",
    "*.orig",
    "Thumbs.db",
    "test_*.py",
    "*_test.py",
    "conftest.py",
    ".*",
)
_SECRETS = (  # names of files that usually contain passwords, keys or Terraform state
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    ".pgpass",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    "credentials",
    "credentials.json",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.key",
    "*.ppk",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "*.kdbx",
    "*.tfstate",
    "*.tfstate.*",
    "*.tfvars",
)
_SECRET_FOLDERS = (".aws", ".ssh", ".gnupg", ".git", ".hg", ".svn", ".terraform")
_PUBLIC = ("*.pub", ".env.example", ".env.sample", ".env.template")
_PRIVATE_KEY = re.compile(rb"^-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----", re.MULTILINE)

REQUIREMENTS = (  # files of installed requirements
    # records of the installation
    "bin/**",
    ".lock",
    *(f"*.dist-info/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")),
    "**/__pycache__/**",
    "**/*.pyc",
    # for compilers and type checkers
    *(f"**/*.{suffix}" for suffix in ("h", "hh", "hpp", "a", "la", "lib", "pyx", "pxd", "pxi", "pyi")),
    "include/**",
    # for developers
    "**/tests/**",
    "test/**",
    "share/doc/**",
    "share/man/**",
    "docs/**",
    "examples/**",
)


def is_excluded_folder(name: str) -> bool:
    """Whether a folder of a function's source is excluded from the package."""
    return _matches(name, SOURCE_FOLDERS)


def is_excluded_file(name: str) -> bool:
    """Whether a file of a function's source is excluded from the package."""
    return _matches(name, SOURCE_FILES)


def secret_reason(path: str, content: bytes) -> str | None:
    """Why a file is taken for a secret, in words, or ``None``.

    A certificate is public; a PEM file with a private key is not. Python modules are recognized by name alone, as their
    source may mention the header of a private key.
    """
    *folders, name = path.split("/")
    folder = next((folder for folder in folders if folder in _SECRET_FOLDERS), None)
    if folder:
        return f"it is in {folder}"
    if _matches(name, _PUBLIC):
        return None
    if not name.endswith(".py") and _PRIVATE_KEY.search(content):
        return "it contains a private key"
    return "files of that name usually contain secrets" if _matches(name, _SECRETS) else None


def requirement_filter(exclude: Sequence[str], provided: Iterable[str]) -> re.Pattern[str]:
    """A pattern for a full match of the paths of excluded files: the defaults, ``exclude`` and ``provided``.

    A glob of ``exclude`` that begins with ``!`` includes what it matches, whatever other globs exclude.
    """
    kept = [glob[1:] for glob in exclude if glob.startswith("!")]
    excluded = [*REQUIREMENTS, *(glob for glob in exclude if not glob.startswith("!")), *provided]
    unless = f"(?!(?:{glob_pattern(kept)})$)" if kept else ""
    return re.compile(f"{unless}(?:{glob_pattern(excluded)})")


def glob_pattern(globs: Iterable[str]) -> str:
    """A regular expression whose full matches are the paths that any of ``globs`` matches."""
    return "|".join("".join(_glob_parts(glob)) for glob in globs)


def _glob_parts(glob: str) -> Iterator[str]:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob):
        yield known.get(part) or re.escape(part)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
