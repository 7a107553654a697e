"""Files and directories of the stack that no other user of the machine can read."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import BinaryIO, Literal

UMASK = 0o077  # of the processes that the stack starts


def make_directory(directory: Path) -> None:
    """Make the directory where it is missing, and close it to other users.

    Under root they may pass through it, and list nothing: the account that runs PostgreSQL has its directory below.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o711 if os.geteuid() == 0 else 0o700)


def open_log(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file to write bytes to, from its start or at its end."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if mode == "ab" else os.O_TRUNC)
    descriptor = os.open(path, flags, 0o600)
    os.fchmod(descriptor, 0o600)  # one that was there already
    return os.fdopen(descriptor, mode)


def write(path: Path, document: object) -> None:
    """Write JSON in one step: whoever reads the file finds the old document or the new one."""
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    temporary.replace(path)
