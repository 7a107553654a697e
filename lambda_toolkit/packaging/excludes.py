"""What does not go into a package: what nobody needs at run time, and what nobody else may see.

Globs: ``*`` and ``?`` stay within one folder, ``**`` does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch

SOURCE_FOLDERS = (  # of a function's source, wherever they lie
    "__pycache__",
    "tests",
    "node_modules",
    "venv",
    "*.egg-info",
    ".*",  # .git, .hg, .svn, .aws, .ssh, .terraform, .venv, .idea, .mypy_cache ...
)
SOURCE_FILES = (
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
_SECRETS = (  # names that promise a password, a key or the state of an infrastructure
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

REQUIREMENTS = (  # of installed requirements
    # where and when it was installed, and by what
    "bin/**",
    ".lock",
    *(f"*.dist-info/{name}" for name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json")),
    "**/__pycache__/**",
    "**/*.pyc",
    # what compilers and type checkers read
    *(f"**/*.{suffix}" for suffix in ("h", "hh", "hpp", "a", "la", "lib", "pyx", "pxd", "pxi", "pyi")),
    "include/**",
    # what developers read
    "**/tests/**",
    "test/**",
    "share/doc/**",
    "share/man/**",
    "docs/**",
    "examples/**",
)


def is_left_out_folder(name: str) -> bool:
    """Whether a folder of a function's source stays at home."""
    return _matches(name, SOURCE_FOLDERS)


def is_left_out_file(name: str) -> bool:
    """Whether a file of a function's source stays at home."""
    return _matches(name, SOURCE_FILES)


def secret_reason(path: str, content: bytes) -> str | None:
    """Why a file may hold a secret, or ``None``. A certificate is public; a PEM file with a private key is not.

    Modules may speak of keys: in them only the name counts.
    """
    *folders, name = path.split("/")
    folder = next((folder for folder in folders if folder in _SECRET_FOLDERS), None)
    if folder:
        return f"it lies in {folder}"
    if _matches(name, _PUBLIC):
        return None
    if not name.endswith(".py") and _PRIVATE_KEY.search(content):
        return "it holds a private key"
    return "files of that name hold secrets" if _matches(name, _SECRETS) else None


def requirement_filter(exclude: Sequence[str], provided: Iterable[str]) -> re.Pattern[str]:
    """Matches the installed files that are left out: the defaults, ``exclude`` and ``provided``.

    A glob of ``exclude`` that begins with ``!`` takes back what others leave out: it keeps what it matches.
    """
    kept = [glob[1:] for glob in exclude if glob.startswith("!")]
    out = [*REQUIREMENTS, *(glob for glob in exclude if not glob.startswith("!")), *provided]
    unless = f"(?!(?:{glob_pattern(kept)})$)" if kept else ""
    return re.compile(f"{unless}(?:{glob_pattern(out)})")


def glob_pattern(globs: Iterable[str]) -> str:
    """The regular expression, for a full match, of any of ``globs``."""
    return "|".join("".join(_glob_parts(glob)) for glob in globs)


def _glob_parts(glob: str) -> Iterator[str]:
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    for part in re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", glob):
        yield known.get(part) or re.escape(part)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
