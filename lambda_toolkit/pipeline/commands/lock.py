"""``lock``: exact versions and hashes for the requirements of the functions."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, with_request


@click.command("lock")
@with_request
def command(request: Request) -> None:
    """Lock the requirements of [packages] to the newest versions that they permit, each with the hashes of its files.

    Writes the file that `lock` names. Keep it in the repository: every deploy installs the same files, and a file that
    was replaced in the package index is refused. A plan has a note when the lock is older than 90 days.
    """
    from lambda_toolkit.pipeline.config.lock_file import write_lock

    path = write_lock(request.target().pipeline, datetime.now(UTC).date())
    count = path.read_text(encoding="utf-8").count("==")
    request.screen.say(f"Locked {count} distributions in {path}. See the changes with git diff, then deploy.")
    request.screen.document({"written": str(path), "distributions": count})
