"""What the handlers share: logs, the check of a new version, environment variables, AWS clients, lakes."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

from .errors import PipelineError
from .lake.store import Lake
from .logs import Log, steps
from .messages.events import CheckRequest, CheckResult
from .model import declarations

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

logger = Log()
_WITHOUT_VALUES = (
    ArithmeticError,
    AttributeError,
    ImportError,
    MemoryError,
    NameError,
    OSError,
    RecursionError,
    TypeError,
)
"""Errors of Python whose messages have names, types and codes of the system, and no values."""


def logged(handler: Handler) -> Handler:
    """Logs a handler's error, and the summary of its run. Raises the error again: retries and alarms depend on it."""

    @functools.wraps(handler)
    def call(event: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.begin(getattr(context, "aws_request_id", None), str(getattr(context, "function_name", "local")))
        outcome = "failed"
        try:
            result = handler(event, context)
            outcome = "done"
        except PipelineError as error:
            logger.error(str(error), error=type(error).__name__)
            raise
        except Exception as error:
            if not _is_without_values(error):
                raise _without_values(error) from None
            logger.error(f"{type(error).__name__}: {error}", error=type(error).__name__, stack=steps(error))
            raise
        finally:
            logger.end(outcome)
        return result

    return call


def _is_without_values(error: Exception) -> bool:
    """Whether the message of ``error`` may be logged: no value of a row can be in it."""
    return isinstance(error, _WITHOUT_VALUES) or type(error).__module__.partition(".")[0] in ("botocore", "boto3")


def _without_values(error: Exception) -> PipelineError:
    """Logs where ``error`` was raised, and returns one to raise, as Lambda logs what is raised too.

    The messages of Arrow, and those of Python about a value, quote values, even rows.
    """
    text = f"{type(error).__name__}: its message is not shown, as it may have values of rows."
    at = steps(error)
    logger.error(text, error=type(error).__name__, stack=at)
    own = [step for step in at if "pyarrow" not in step]
    return PipelineError(f"{text} Raised at {own[-1]}.")


def checked(*needs: Callable[[], object]) -> Callable[[Handler], Handler]:
    """Makes a handler answer ``{"action": "check"}``, the smoke test of a new version before it goes live.

    By then everything is imported. The check reads the declaration of the tables and calls each of ``needs``, which
    read what the function cannot work without and change nothing. Raises PipelineError when one is missing.
    """

    def around(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def call(event: dict[str, Any], context: Any) -> dict[str, Any]:
            if not isinstance(event, dict) or event.get("action") != CheckRequest.action:
                return handler(event, context)
            CheckRequest.from_json({key: value for key, value in event.items() if key != "action"}, "The event")
            declarations.load()
            for need in needs:
                need()
            return CheckResult().to_json()

        return call

    return around


@functools.cache
def client(service: str) -> Any:
    """The boto3 client of ``service``, cached. boto3 finds endpoint, region and credentials."""
    import boto3
    from botocore.config import Config

    return boto3.client(service, config=Config(connect_timeout=10, retries={"mode": "standard", "max_attempts": 5}))


def setting(name: str) -> str:
    """The environment variable ``name``. Raises PipelineError when the function was deployed without it."""
    value = os.environ.get(name)
    if not value:
        raise PipelineError(f"The environment variable {name} is not set: the function was deployed without it.")
    return value


def ingestion_lake() -> Lake:
    """The ingestion bucket, which extract writes. Raises PipelineError when its name is not set."""
    return Lake(client("s3"), setting("INGESTION_BUCKET"))


def processed_lake() -> Lake:
    """The processed bucket, which transform writes. Raises PipelineError when its name is not set."""
    return Lake(client("s3"), setting("PROCESSED_BUCKET"))
