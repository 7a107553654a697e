"""Which modules a function can import although no package has them: Python's own, and those of Lambda's runtime."""

from __future__ import annotations

import sys
from collections.abc import Iterator

_OLDEST, _NEXT = (3, 9), (3, 15)
_ADDED = {  # since which version: https://docs.python.org/3/whatsnew/
    "tomllib": (3, 11),
    "annotationlib": (3, 14),
    "compression": (3, 14),
}
_REMOVED = {  # from which version on
    **dict.fromkeys(("formatter", "parser", "symbol"), (3, 10)),
    "binhex": (3, 11),
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), (3, 12)),
    **dict.fromkeys(  # PEP 594, and lib2to3
        (
            *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "nis", "nntplib"),
            *("ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
        ),
        (3, 13),
    ),
}
_OF_OTHER_SYSTEMS = frozenset(
    ("msilib", "msvcrt", "nt", "winreg", "winsound", "_winapi", "_msi", "_overlapped", "_scproxy")
)
PROVIDED = frozenset(
    # boto3 with what it needs, and the runtime's own client:
    # https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-dependencies
    # https://github.com/aws/aws-lambda-python-runtime-interface-client
    ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3", "awslambdaric", "simplejson")
)
"""The top-level modules that Lambda's Python runtime has beside the standard library."""
_PROVIDED_TOO = {  # from which version on, and up to which
    "snapshot_restore_py": ((3, 12), _NEXT),
    "pip": (_OLDEST, _NEXT),
    "setuptools": (_OLDEST, (3, 12)),
    "pkg_resources": (_OLDEST, (3, 12)),
}


def is_provided(module: str, version: tuple[int, int]) -> bool:
    """Whether a function on Python ``version`` can import the top-level ``module`` without packaging it."""
    if module in PROVIDED:
        return True
    since, before = _PROVIDED_TOO.get(module, (_NEXT, _NEXT))
    return since <= version < before or is_standard(module, version)


def is_standard(module: str, version: tuple[int, int]) -> bool:
    """Whether the top-level ``module`` is in the standard library of Python ``version`` on Linux."""
    known = module in _ADDED or module in _REMOVED or module in sys.stdlib_module_names
    if not known or module in _OF_OTHER_SYSTEMS:
        return False
    return _ADDED.get(module, _OLDEST) <= version < _REMOVED.get(module, _NEXT)


def standard_modules(version: tuple[int, int]) -> Iterator[str]:
    """All top-level modules for which :func:`is_standard` is true."""
    yield from (name for name in {*sys.stdlib_module_names, *_ADDED, *_REMOVED} if is_standard(name, version))


def other_versions(module: str, version: tuple[int, int]) -> str | None:
    """Why Python ``version`` does not have a module that another version has, in words; ``None`` where none has it."""
    removed = _REMOVED.get(module)
    if removed and version >= removed:
        return f"Python has no `{module}` since {removed[0]}.{removed[1]}"
    added = _ADDED.get(module)
    if added and version < added:
        return f"Python has `{module}` since {added[0]}.{added[1]} only"
    return f"`{module}` is a module of another operating system" if module in _OF_OTHER_SYSTEMS else None
