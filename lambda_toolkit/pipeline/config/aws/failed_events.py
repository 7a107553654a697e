"""The bucket that keeps events which failed for good, which a configuration has without declaring it.

Lambda writes a record of each into it, with the event and the error: ``status`` shows them, ``replay --failed`` invokes
the function with them again. A bucket and not a queue: reading a record does not hide it from the next reader, one may
be larger than a message, and none is lost after 14 days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lambda_toolkit.pipeline.installed import ACCESS, shipped_functions

if TYPE_CHECKING:
    from lambda_toolkit.pipeline.config.model import Pipeline

FAILED = "failed"  # the name in [buckets]
RECORDS = "aws/lambda/async/"
"""Where Lambda writes the records: ``<function>/<year>/<month>/<day>/<time>-<id>`` below this.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
"""
KEPT_DAYS = 30
_BUCKET = {
    "name": "{name}-{stage}-failed-{account}",
    "versioned": False,  # a record that was replayed is deleted
    "lifecycle": [{"name": "failed-events", "expire_days": KEPT_DAYS}],
}


def with_failed_events(document: Mapping[str, Any]) -> dict[str, Any]:
    """``document``, pipeline.toml as it was read, with the bucket, and ``on_failure`` of the pipeline's own functions.

    What the document says of either stays. A function with a role that is given gets nothing: that role may not write
    there. With ``keep_failed_events = false`` there is no bucket, and the functions send their records nowhere.
    """
    functions, buckets, general = (document.get(name, {}) for name in ("functions", "buckets", "pipeline"))
    if not all(isinstance(table, Mapping) for table in (functions, buckets, general)):
        return dict(document)  # which is reported
    keeps = general.get("keep_failed_events", True) is not False
    destination = FAILED if keeps else ""
    changed = {
        name: {"on_failure": destination, **function} if _is_ours(name, function) else function
        for name, function in functions.items()
    }
    if keeps and any(isinstance(each, Mapping) and each.get("on_failure") == FAILED for each in changed.values()):
        buckets = {**buckets, FAILED: _declared(buckets.get(FAILED))}
    return {**document, **({"functions": changed} if changed else {}), **({"buckets": buckets} if buckets else {})}


def failed_bucket(pipeline: Pipeline, account: str) -> str | None:
    """The name on AWS of the bucket with the records; ``None`` where the pipeline keeps none."""
    return pipeline.bucket_name(FAILED, account) if FAILED in pipeline.buckets else None


def _is_ours(name: str, function: Any) -> bool:
    """Whether a function is one of the pipeline's own, whose events may come twice, and the deploy writes its role."""
    own = isinstance(function, Mapping) and name in shipped_functions() and name != ACCESS
    return own and "role" not in function


def _declared(own: Any) -> Any:
    """What is declared of the bucket, and the defaults beside it. A name alone is its short form."""
    if isinstance(own, str):
        return {**_BUCKET, "name": own}
    return {**_BUCKET, **own} if isinstance(own, Mapping) else _BUCKET if own is None else own
