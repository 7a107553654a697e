"""Functions that do a share of another's work: the readers of extract, and invocations of transform by transform."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lambda_toolkit.pipeline.config.model import Backfill, Pipeline
from lambda_toolkit.pipeline.config.schema.toml_reader import Problems
from lambda_toolkit.pipeline.config.schema.trigger_keys import without_triggers

EXTRACT, READER, TRANSFORM = "extract", "reader", "transform"
MOST_READERS = (
    500  # at a time, and as many workers: of the 1,000 invocations that run in an account, unless AWS allows more
)


def with_reader(problems: Problems, pipeline: Pipeline) -> Pipeline:
    """``pipeline`` with the function that reads ranges, where it is declared: as extract, which alone starts it."""
    if not 0 <= pipeline.readers <= MOST_READERS:
        problems.add("[extract]", f"`readers` must be from 0 to {MOST_READERS}, not {pipeline.readers}.")
    if pipeline.reader_rows < 1:
        problems.add("[extract]", f"`reader_rows` must be 1 or more, not {pipeline.reader_rows}.")
    if not pipeline.has_readers:
        return pipeline
    extract = pipeline.functions.get(EXTRACT)
    if extract is None or READER in pipeline.functions:
        why = f"[functions.{EXTRACT}] is missing" if extract is None else f"[functions.{READER}] is another function"
        problems.add("[extract]", f"`readers` deploys the function {READER} as {EXTRACT} is declared, but {why}.")
        return pipeline
    spec = replace(
        without_triggers(extract.spec),
        name=pipeline.function_name(READER),
        description=f"{pipeline.name}: {READER}",
        zip_path=pipeline.root / "build" / f"{READER}.zip",
        schedule=None,
        schedules=None,
        schedule_role=None,
        on_failure=None,
        retries=None,
        max_event_age=None,
        concurrency=None,
        provisioned_concurrency=None,
        canary=None,
    )
    reader = replace(extract, name=READER, spec=spec, s3_triggers=None, topic_triggers=None, alarms=None, sweeps=())
    return replace(pipeline, functions={**pipeline.functions, READER: reader})


def check_workers(problems: Problems, pipeline: Pipeline) -> None:
    """Reports what is wrong with ``[transform]``."""
    if not 0 <= pipeline.workers <= MOST_READERS:
        problems.add("[transform]", f"`workers` must be from 0 to {MOST_READERS}, not {pipeline.workers}.")
    if not pipeline.has_workers:
        return
    transform = pipeline.functions.get(TRANSFORM)
    if transform is None:
        problems.add("[transform]", f"`workers` are invocations of [functions.{TRANSFORM}], which is missing.")
        return
    reserved = transform.spec.concurrency
    if isinstance(reserved, int) and reserved <= pipeline.workers:
        problems.add(
            f"[functions.{TRANSFORM}]",
            f"`concurrency` must be more than the {pipeline.workers} `workers` of [transform], which run beside the "
            f"one that starts them, not {reserved}.",
        )


def check_backfill(problems: Problems, backfill: Backfill) -> None:
    """Reports what ``[backfill]`` lacks for its engine."""
    needed = {"glue": ("role",), "emr-serverless": ("role", "application")}.get(backfill.engine, ())
    for key in needed:
        if not getattr(backfill, key):
            problems.add("[backfill]", f'lacks the key `{key}`, which engine = "{backfill.engine}" needs.')
    if not 2 <= backfill.workers <= MOST_READERS:
        problems.add("[backfill]", f"`workers` must be from 2 to {MOST_READERS}, not {backfill.workers}.")


def starts_workers(pipeline: Pipeline, function: str) -> bool:
    """Whether the function declared as ``function`` starts workers."""
    return function == TRANSFORM and pipeline.has_workers


def worker_variables(pipeline: Pipeline) -> dict[str, str]:
    """The environment variables by which transform knows how many workers it may start."""
    return {"TRANSFORM_WORKERS": str(pipeline.workers)}


def starting_workers(pipeline: Pipeline, account: str, partition: str) -> dict[str, Any]:
    """The IAM statement that permits transform to start itself."""
    return _starting(pipeline, TRANSFORM, account, partition)


def starts_readers(pipeline: Pipeline, function: str) -> bool:
    """Whether the function declared as ``function`` starts readers."""
    return function == EXTRACT and pipeline.has_readers


def reader_variables(pipeline: Pipeline) -> dict[str, str]:
    """The environment variables by which extract finds its readers."""
    from lambda_script import LIVE  # imported on use: reading the configuration does not need the client of AWS

    return {
        "READER_FUNCTION": f"{pipeline.function_name(READER)}:{LIVE}",
        "READERS": str(pipeline.readers),
        "READER_ROWS": str(pipeline.reader_rows),
    }


def starting_readers(pipeline: Pipeline, account: str, partition: str) -> dict[str, Any]:
    """The IAM statement that permits starting exactly that function."""
    return _starting(pipeline, READER, account, partition)


def _starting(pipeline: Pipeline, function: str, account: str, partition: str) -> dict[str, Any]:
    from lambda_toolkit.aws.account import Place  # imported on use, as above

    place = Place(account, pipeline.region, partition)
    name = f"function:{pipeline.function_name(function)}"
    arns = [place.arn("lambda", f"{name}{ending}") for ending in ("", ":*")]
    return {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": arns}
