"""What the handlers share: logs, the check of a new version, metrics, environment variables, AWS clients, lakes."""

from __future__ import annotations

import functools
import os
import traceback
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger

from . import declarations
from .errors import PipelineError
from .events import CheckRequest, CheckResult
from .lake.store import Lake

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

METRIC = "RowsRejected"

logger = Logger(utc=True, log_uncaught_exceptions=False)


def logged(handler: Handler) -> Handler:
    """Logs a handler's result or its error. Raises the error again, since retries and alarms depend on it."""

    @functools.wraps(handler)
    def call(event: dict[str, Any], context: Any) -> dict[str, Any]:
        logger.append_keys(request_id=getattr(context, "aws_request_id", None))
        try:
            result = handler(event, context)
        except PipelineError as error:
            logger.error(str(error), error=type(error).__name__)
            raise
        except Exception as error:
            if type(error).__module__.startswith("pyarrow"):
                raise _without_values(error) from None
            logger.exception(f"{type(error).__name__}: {error}")
            raise
        logger.info("done", result=result)
        return result

    return call


def _without_values(error: Exception) -> PipelineError:
    """Logs where an error of Arrow was raised, and returns one to raise: Arrow's message quotes values, even rows."""
    steps = [f"{step.filename}:{step.lineno} {step.name}" for step in traceback.extract_tb(error.__traceback__)]
    text = f"{type(error).__name__}: data could not be read or converted. Its message is not shown: it may have values."
    logger.error(text, error=type(error).__name__, stack=steps)
    own = [step for step in steps if "pyarrow" not in step]
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


def count_rejected(rows: int, context: Any) -> None:
    """Publishes ``rows`` as the metric RowsRejected of this function, in the embedded metric format."""
    from aws_lambda_powertools import Metrics
    from aws_lambda_powertools.metrics import MetricUnit

    # An empty service: its name must not become a dimension beside FunctionName, which alone the alarm names.
    metrics = Metrics(namespace=os.environ.get("METRICS_NAMESPACE", "pipeline"), service="")
    metrics.add_dimension("FunctionName", str(getattr(context, "function_name", "local")))
    metrics.add_metric(METRIC, MetricUnit.Count, rows)
    metrics.flush_metrics()


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
