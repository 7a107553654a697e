"""The operations of the matrix about what Lambda polls, events and the URL; added to the others."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.spec.model import Deployment
from tests.deploy_faults.operations import OPERATIONS, Operation, World, shop

POLLED: dict[str, Any] = {
    "queue_trigger": {"queue": "orders", "report_failures": True},
    "event_trigger": {"pattern": {"source": ["shop"]}},
    "url": {"auth": "NONE", "cors": {"origins": ["https://example.com"]}},
}
"""A queue, events and a URL that invoke a function."""


class FirstTriggers(Operation):
    """A queue, events and a URL begin to invoke a function."""

    def prepare(self, world: World) -> None:
        world.bare("sqs").create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "360"})
        world.deploy(shop(world.function()))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(**POLLED))


class ChangeTriggers(FirstTriggers):
    """The queue's batches, the pattern and who may call the URL change, and so do the tags."""

    def prepare(self, world: World) -> None:
        super().prepare(world)
        world.deploy(super().declared(world))

    def declared(self, world: World) -> Deployment:
        changed = {
            "queue_trigger": {"queue": "orders", "batch_size": 5},
            "event_trigger": {"pattern": {"source": ["till"]}},
            "url": "AWS_IAM",
            "tags": {"team": "data"},
        }
        return shop(world.function(**changed))


class DetachTriggers(ChangeTriggers):
    """They are taken from the declaration."""

    def declared(self, world: World) -> Deployment:
        return shop(world.function(queue_trigger=(), event_trigger=(), url=""))


OPERATIONS.update({kind.__name__: kind for kind in (FirstTriggers, ChangeTriggers, DetachTriggers)})
