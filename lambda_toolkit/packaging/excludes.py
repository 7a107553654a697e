"""Which files are excluded from packages: those not needed at run time, and those with secrets.

Globs: ``*`` and ``?`` match within one path segment, ``**`` matches across segments.
"""

from __future__ import annotations

import codecs
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import translate
from os.path import normcase

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
_SECRETS = (  # names, in lower case, of files that usually contain passwords, keys or Terraform state
    ".env",
    ".env.*",
    "*.env",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pgpass",
    ".my.cnf",
    ".npmrc",
    ".pypirc",
    ".boto",
    ".s3cfg",
    ".dockercfg",
    ".dockerconfigjson",
    ".git-credentials",
    ".htpasswd",
    ".vault_pass*",
    "credentials",
    "credentials.json",
    "application_default_credentials.json",
    "service[-_]account*.json",
    "serviceaccount*.json",
    "client[-_]secret*.json",
    "kubeconfig",
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
    "*.keytab",
    "*.kdbx",
    "*.ovpn",
    "*.tfstate",
    "*.tfstate.*",
    "*.tfvars",
)
_CREDENTIAL_FOLDERS = (".aws", ".azure", ".docker", ".gcloud", ".gnupg", ".kube", ".ssh")
"""Those of a user, in which every file counts as a secret, wherever a link or an option found it."""
_SECRET_FOLDERS = (*_CREDENTIAL_FOLDERS, ".terraform", ".git", ".hg", ".svn")
_PUBLIC = ("*.pub", ".env.example", ".env.sample", ".env.template")
_PRIVATE_KEY = rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"  # indented, quoted, in JSON: wherever it is
_IN_A_FILE = {
    re.compile(_PRIVATE_KEY): "it contains a private key",
    re.compile(rb"^PuTTY-User-Key-File-\d", re.MULTILINE): "it contains a private key",
    re.compile(rb"AGE-SECRET-KEY-1[0-9A-Z]{20}"): "it contains a private key",
}
_IN_ANY_FILE = {
    # Python modules, too: not only the header, which a module may look for, but a key
    re.compile(_PRIVATE_KEY + rb"(?:\\[nr]|[\s\"'+,()\\])*[A-Za-z0-9+/]{32}"): "it contains a private key",
    re.compile(
        rb"aws_secret_access_key[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+])", re.IGNORECASE
    ): "it contains a secret access key of AWS",
}

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

    Names count in any case. A certificate is public; a file with a private key is not, whatever its name.
    """
    *folders, name = path.lower().split("/")
    folder = next((folder for folder in folders if folder in _SECRET_FOLDERS), None)
    if folder:
        return f"it is in {folder}"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = content.decode("utf-16", "replace").encode()
    known = _IN_ANY_FILE if name.endswith(".py") else {**_IN_ANY_FILE, **_IN_A_FILE}
    reason = next((reason for pattern, reason in known.items() if pattern.search(content)), None)
    if reason or _any_of(_PUBLIC).match(name):
        return reason
    return "files of that name usually contain secrets" if _any_of(_SECRETS).match(name) else None


def credentials_folder(path: str) -> str | None:
    """The folder of a user's credentials that the file is in, such as ``.aws``; ``None`` where it is in none."""
    return next((folder for folder in path.lower().split("/")[:-1] if folder in _CREDENTIAL_FOLDERS), None)


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
    return _any_of(patterns).match(normcase(name)) is not None


@functools.cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern for a match of names that any of these shell patterns matches, as fnmatch does one by one."""
    return re.compile("|".join(translate(normcase(pattern)) for pattern in patterns))
