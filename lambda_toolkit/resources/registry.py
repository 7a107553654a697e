"""The kinds of attachments of a function. Plans, removals, pruning and the deployer's policy go through this list.

How to add one, say an SQS queue that triggers the function (an event source mapping). Six files:

1. ``resources/event_source_mapping.py``, new: satisfies :class:`Attachment`. Its ``role_statements`` allow
   ``sqs:ReceiveMessage``, ``sqs:DeleteMessage`` and ``sqs:GetQueueAttributes`` on the queue; its changes wait for
   ``context.function_key``; ``DEPLOYER_ACTIONS`` name ``CreateEventSourceMapping`` and its siblings.
2. This file: the module in ``ATTACHMENTS``.
3. ``spec/model.py``: a member of ``Kind``, a dataclass ``SqsTrigger``, a field of ``FunctionSpec``.
4. ``spec/arguments.py``: the argument's check.
5. ``lambda_script.py``: the constructor's parameter.
6. ``pipeline/config/load.py``: the key in ``pipeline.toml``.

Nothing else knows the kinds one by one: order follows from the keys in ``Change.after``, and reads from ``prefetch``.
"""

from __future__ import annotations

from lambda_toolkit.resources import alarm, event_rule, log_group, role, s3_notification
from lambda_toolkit.resources.attachment import Attachment

ATTACHMENTS: tuple[Attachment, ...] = (role, log_group, event_rule, s3_notification, alarm)
