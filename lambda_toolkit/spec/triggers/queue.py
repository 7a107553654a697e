"""SQS queues whose messages invoke a function: the declaration, its forms, and what Lambda would reject. Pure.

https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lambda_toolkit.spec.limit_checks import Doubt, Found, in_range
from lambda_toolkit.spec.triggers.batches import batch_problems, with_filters
from lambda_toolkit.spec.triggers.forms import names, repeated, several

_QUEUE = re.compile(r"(arn:[a-z0-9-]+:sqs:[a-z0-9-]+:\d{12}:)?[A-Za-z0-9_-]{1,75}([A-Za-z0-9_-]{0,5}|\.fifo)", re.A)
_FIFO_BATCH, _WITHOUT_WINDOW = 10, 10  # messages
_CONCURRENCY = (2, 1000)


class Limited(Protocol):
    """A function, of which a queue's limit is compared with its own."""

    @property
    def concurrency(self) -> int | str | None:
        """How many invocations run at most at a time."""


@dataclass(frozen=True)
class QueueTrigger:
    """An SQS queue whose messages invoke the function: Lambda polls it with the function's role.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """

    queue: str
    """The name or the ARN of a queue in the function's region. Its redrive policy says where messages go that fail."""
    batch_size: int = 10
    """How many messages one invocation gets at most: 1 to 10,000, of a FIFO queue 10. More than 10 need a window."""
    batching_window: int = 0
    """For how many seconds Lambda gathers messages before it invokes: 0 to 300. FIFO queues have none."""
    filters: tuple[Mapping[str, Any], ...] = ()
    """Event patterns: a message that matches none of them is deleted without an invocation. Empty: all match."""
    report_failures: bool = False
    """Whether the function returns ``batchItemFailures``: then only these messages of a batch come again."""
    maximum_concurrency: int | None = None
    """How many invocations of this queue run at most at a time: 2 to 1,000. ``None``: no limit of its own."""
    enabled: bool = True
    """Whether Lambda polls."""

    @classmethod
    def of(cls, value: QueueTrigger | Mapping[str, Any] | str) -> QueueTrigger:
        """``value`` itself, the trigger of a queue's name, or that with the fields of a mapping. Raises TypeError."""
        if isinstance(value, QueueTrigger):
            return value
        return cls(value) if isinstance(value, str) else cls(**with_filters(value))

    @property
    def is_fifo(self) -> bool:
        """Whether the queue keeps the order of its messages."""
        return self.queue.endswith(".fifo")


_OneQueue = str | QueueTrigger | Mapping[str, Any]
QueueTriggers = _OneQueue | Sequence[_OneQueue]
"""One or several queues: names, ARNs, or with the fields of :class:`QueueTrigger`."""


def read(value: Any) -> tuple[QueueTrigger, ...] | None:
    """The queue triggers that ``value`` declares; ``None`` where it is. Raises TriggerError."""
    expected = (
        "queue_trigger takes the name or the ARN of an SQS queue, or `queue` with "
        f'{names(QueueTrigger, "queue")}: "orders" or {{"queue": "orders", "batch_size": 5}}'
    )
    return several(value, QueueTrigger, QueueTrigger.of, expected)


def problems(triggers: Sequence[QueueTrigger], function: Limited) -> Found:
    """What Lambda would reject: a sentence each, with what to write instead; and doubts."""
    yield from repeated("queue", (trigger.queue for trigger in triggers))
    for trigger in triggers:
        yield from _problems(trigger, function)


def _problems(trigger: QueueTrigger, function: Limited) -> Found:
    where = f"its trigger on queue `{trigger.queue}`:"
    if not trigger.queue:
        yield "its trigger names no queue; queue_trigger=[] removes all its queues."
    elif not _QUEUE.fullmatch(trigger.queue):
        yield (
            f"its trigger's queue `{trigger.queue}` is neither the name of an SQS queue (1 to 80 letters, digits, - "
            "and _, of a FIFO queue with .fifo at the end) nor the ARN of one."
        )
    yield from batch_problems(where, trigger)
    if trigger.is_fifo and trigger.batch_size > _FIFO_BATCH:
        yield f"{where} batch_size {trigger.batch_size} is more than {_FIFO_BATCH}, the most of a FIFO queue."
    elif trigger.batch_size > _WITHOUT_WINDOW and not trigger.batching_window:
        yield f"{where} a batch_size of more than {_WITHOUT_WINDOW} needs a batching_window of 1 second or more."
    if trigger.is_fifo and trigger.batching_window:
        yield f"{where} a FIFO queue has no batching_window."
    wanted = trigger.maximum_concurrency
    if wanted is not None:
        yield from in_range(
            "lambda", "MaximumConcurrency", f"{where} maximum_concurrency", wanted, _CONCURRENCY, "invocations"
        )
        if isinstance(function.concurrency, int) and wanted > function.concurrency:
            yield Doubt(
                f"{where} maximum_concurrency {wanted} is more than the function's concurrency {function.concurrency}, "
                "so that Lambda takes messages which it cannot deliver, and some of them may be taken for failed"
            )
