"""What a plan takes in: the options that ``plan`` and ``deploy`` share, so that the one shows what the other does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.deployment import chosen, deployment

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.changes import Plan


@dataclass(frozen=True)
class Scope:
    """Whether what others made is adopted, what is no longer declared is removed, and data with it."""

    adopt: bool = False
    prune: bool = True
    delete_data: bool = False

    def plan(self, aws: Aws, target: Target, functions: Collection[str] = ()) -> Plan:
        """The plan for ``target``, or for the FUNCTIONs named. Reads only. Raises ToolkitError and CommandError."""
        from lambda_toolkit.deploy.plan import make_plan

        only = chosen(target.pipeline, functions)
        wanted = replace(deployment(target.pipeline, aws.account_id, target.environ), adopt=self.adopt)
        return make_plan(aws, wanted, only, prune=self.prune, delete_data=self.delete_data)


EVERYTHING = Scope()


def scope_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options, which reach ``body`` as ``scope``."""

    @click.option("--adopt", is_flag=True, help="Take over what has a declared name and was made by somebody else.")
    @click.option("--no-prune", is_flag=True, help="Keep what the configuration no longer names.")
    @click.option("--delete-data", is_flag=True, help="Prune buckets with their objects, secrets and logs, too.")
    @functools.wraps(body)
    def call(*args: Any, adopt: bool, no_prune: bool, delete_data: bool, **named: Any) -> Any:
        return body(*args, scope=Scope(adopt, not no_prune, delete_data), **named)

    return call
