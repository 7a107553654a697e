"""Requirements as text: one line of pip's requirements file each.

The format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lambda_toolkit.errors import PackageError

_ONLY_FOR_PROJECTS = ("-e", "--editable", "-c", "--constraint")


def normalized(lines: Iterable[str]) -> tuple[str, ...]:
    """The requirements of ``lines`` without comments, blank lines and repetitions, sorted."""
    bare = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in lines)
    return tuple(sorted({re.sub(r"\s+", " ", line) for line in bare if line}))


def read_requirements(file: Path) -> tuple[str, ...]:
    """The requirements in ``file``, with markers and hashes, and those of the files that it includes with ``-r``.

    Options of the index (``--index-url`` ...) are kept. Raises PackageError where a file cannot be read, where files
    include each other, and for ``-e`` and ``-c``.
    """
    return normalized(_lines(file, ()))


def _lines(file: Path, including: tuple[Path, ...]) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig").replace("\\\n", " ")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PackageError(f"Cannot read the requirements {file}: {reason}.") from error
    lines: list[str] = []
    for line in normalized(text.splitlines()):
        option, _, value = line.replace("=", " ", 1).partition(" ") if line.startswith("--") else line.partition(" ")
        if option in ("-r", "--requirement"):
            named = file.parent / value.strip()
            if named in including or named == file:
                raise PackageError(f"The requirements {file} and {named} name each other.")
            lines += _lines(named, (*including, file))
        elif option in _ONLY_FOR_PROJECTS:
            raise PackageError(f"The requirements {file} hold `{line}`; a layer is made of named packages and wheels.")
        else:
            lines.append(line)
    return lines
