"""What every command shares: three options, exit codes, and the messages of failures."""

from __future__ import annotations

import errno
import functools
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click

from lambda_toolkit.pipeline.client.target import Target, choose
from lambda_toolkit.pipeline.commands.shared.screen import Screen
from lambda_toolkit.pipeline.errors import CommandError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH, first_steps, repeated_options

P = ParamSpec("P")

DONE, FAILED, CHANGES = 0, 1, 2
MISUSED = 2  # as in click
INTERRUPTED = 130  # as shells report Ctrl-C
_TRY = {  # errors of the operating system, and what to do; others are defects
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "Run this in a folder that you may write to."),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "Free some space, and repeat the command."),
}


@dataclass(frozen=True)
class Request:
    """How the command was called: its file, its stage, and where its output is shown."""

    config: Path
    stage: str | None
    screen: Screen

    @property
    def root(self) -> Path:
        """The repository: the parent of ``config/``."""
        return self.config.resolve().parent.parent

    def target(self) -> Target:
        """The pipeline and the AWS that this call is about."""
        target = choose(self.config, self.stage, os.environ)
        if target.is_local and self.stage is None:
            self.screen.progress("Target: the local stack, which is up. (For AWS: set credentials, or give --stage.)")
        return target


def with_request(body: Callable[Concatenate[Request, P], int | None]) -> Callable[..., None]:
    """Turns ``body(request, ...) -> exit code or None for 0`` into a click callback with the shared options.

    Expected failures end with one message and exit code 1, never with a traceback.
    """

    @click.option(
        "--stage", help="Which copy of the pipeline; default: the configuration's, or `local` while that is up."
    )
    @click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=DEFAULT_PATH,
        show_default=True,
        help="The declaration of the pipeline.",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, and nothing else there.")
    @functools.wraps(body)
    def call(*args: Any, stage: str | None, config: Path, as_json: bool, **kwargs: Any) -> None:
        screen = Screen(as_json=as_json)
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: nothing is left running
        with repeated_options(*_repeated(stage, config)):
            code = _exit_code(screen, config, lambda: body(Request(config, stage, screen), *args, **kwargs))
        if code == INTERRUPTED:
            _leave_reads()
        sys.exit(code)

    return call


def _leave_reads() -> None:
    """Ends the process where reads still run, which Python would wait for: AWS may not answer for minutes."""
    from lambda_toolkit.aws.parallel import READ

    if any(thread.name.startswith(f"{READ}_") for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)


def _exit_code(screen: Screen, config: Path, body: Callable[[], int | None]) -> int:
    """The exit code of ``body``; for a failure that is expected, with its message on ``screen``."""
    try:
        return body() or DONE
    except KeyboardInterrupt:
        screen.error("Stopped.")
        return INTERRUPTED
    except UsageError as error:
        screen.error(str(error))
        return MISUSED
    except OSError as error:
        if error.errno not in _TRY:
            raise
        screen.error(_of_a_file(error))
        return FAILED
    except _expected() as error:
        screen.error(_message(error, config))
        return FAILED


def _repeated(stage: str | None, config: Path) -> tuple[str, ...]:
    """The options that a command suggested by this one needs to be about the same pipeline."""
    named = [] if stage is None else [f"--stage {shlex.quote(stage)}"]
    return (*named, *([] if config == DEFAULT_PATH else [f"--config {shlex.quote(str(config))}"]))


def _expected() -> tuple[type[Exception], ...]:
    """The errors whose messages are for users. Imported when one is raised: most calls do not fail."""
    from botocore.exceptions import BotoCoreError, ClientError

    from lambda_script import ToolkitError
    from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
    from lambda_toolkit.pipeline.local_stack.errors import LocalError

    return (CommandError, ToolkitError, PipelineError, LocalError, BotoCoreError, ClientError)


def explained(error: Exception, config: Path) -> str:
    """The message about ``error`` where it is one that is expected; for a defect, what it is."""
    from pg8000.exceptions import DatabaseError, InterfaceError

    if isinstance(error, _expected()):
        return _message(error, config)
    if isinstance(error, OSError):
        return _of_a_file(error) if error.errno in _TRY else str(error)
    if isinstance(error, DatabaseError | InterfaceError):
        from lambda_toolkit.pipeline.lambdas.shared.postgres.server_errors import message

        return message(error) if isinstance(error, DatabaseError) else f"The database does not answer: {error}"
    return f"This is a defect of the program, which its terminal describes: {type(error).__name__}."


def _of_a_file(error: OSError) -> str:
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}. {_TRY[error.errno or 0]}"


def _message(error: Exception, config: Path) -> str:
    from lambda_script import ToolkitError
    from lambda_toolkit.pipeline.commands.shared.show_changes import wording

    if getattr(error, "code", "") == "NoCredentialsError":
        return f"{error} Or try the pipeline without an account: {first_steps(config)}"
    return error.worded(wording()) if isinstance(error, ToolkitError) else str(error)
