"""The operations of the matrix about concurrency and recursive loops; added to the others."""

from __future__ import annotations

from typing import Any

from lambda_toolkit.spec.model import Deployment
from tests.deploy_faults.operations import OPERATIONS, Operation, World, shop

READY: dict[str, Any] = {"concurrency": 5, "provisioned_concurrency": 2, "recursive_loop": "Allow"}


class FirstProvisioned(Operation):
    """A function with environments that are ready, a reservation, and loops that are allowed."""

    def declared(self, world: World) -> Deployment:
        return shop(world.function(**READY))


class ReleaseProvisioned(FirstProvisioned):
    """Its code and the number of its environments change."""

    def prepare(self, world: World) -> None:
        world.deploy(super().declared(world))
        world.write("shop-dev-one", "2")

    def declared(self, world: World) -> Deployment:
        return shop(world.function(**{**READY, "provisioned_concurrency": 3}))


class DetachProvisioned(FirstProvisioned):
    """All of it is removed."""

    def prepare(self, world: World) -> None:
        world.deploy(super().declared(world))

    def declared(self, world: World) -> Deployment:
        return shop(world.function(concurrency="unreserved", provisioned_concurrency=0, recursive_loop=""))


OPERATIONS.update({kind.__name__: kind for kind in (FirstProvisioned, ReleaseProvisioned, DetachProvisioned)})
