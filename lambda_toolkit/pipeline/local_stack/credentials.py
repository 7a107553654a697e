"""Keys, passwords and ports of a stack, the same each time it goes up: stored secrets and open shells rely on it."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lambda_toolkit.pipeline.local_stack import private_files
from lambda_toolkit.pipeline.local_stack.postgres.databases import USERS

FILE = "access.json"


@dataclass(frozen=True)
class Access:
    """What a stack is reached with. Port 0: not chosen yet."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    passwords: dict[str, str] = field(repr=False)  # by user of the databases
    emulator_port: int = 0
    postgres_port: int = 0
    slack_port: int = 0
    slack_path: str = field(default="", repr=False)  # of the webhook's URL, which only who may post knows


def of(directory: Path) -> Access:
    """The stack's own from the last time, or new ones."""
    path = directory / FILE
    slack_path = f"/services/LOCAL/{secrets.token_urlsafe(18)}"
    if path.is_file():
        return Access(**{"slack_path": slack_path, **json.loads(path.read_text(encoding="utf-8"))})
    return Access(
        slack_path=slack_path,
        access_key_id=f"AKIA{secrets.token_hex(8).upper()}",
        secret_access_key=secrets.token_urlsafe(30),
        passwords={user: secrets.token_urlsafe(24) for user in USERS},
    )


def keep(directory: Path, access: Access) -> None:
    """Remember them for the next time."""
    private_files.write(directory / FILE, asdict(access))
