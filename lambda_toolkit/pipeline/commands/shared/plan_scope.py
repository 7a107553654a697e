"""The scope of a plan: the options that ``plan`` and ``deploy`` share, so that one shows what the other does."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.client.target import Target
from lambda_toolkit.pipeline.config.deployment import aws_names, deployment

if TYPE_CHECKING:
    from lambda_script import Plan
    from lambda_toolkit.aws import Aws


@dataclass(frozen=True)
class Scope:
    """Whether unmanaged resources are adopted, undeclared ones removed, and their data with them."""

    adopt: bool = False
    prune: bool = True
    delete_data: bool = False

    def plan(self, aws: Aws, target: Target, functions: Collection[str] = ()) -> Plan:
        """The plan for ``target``, or for the FUNCTIONs named. Reads only. Raises ToolkitError and CommandError."""
        from lambda_script import plan

        only = aws_names(target.pipeline, functions)
        wanted = replace(deployment(target.pipeline, aws.account_id, target.environ), adopt=self.adopt)
        return plan(wanted, aws, only=only, prune=self.prune, delete_data=self.delete_data)


EVERYTHING = Scope()


def scope_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options, which reach ``body`` as ``scope``."""

    @click.option("--adopt", is_flag=True, help="Adopt resources that have a declared name and are not managed yet.")
    @click.option("--no-prune", is_flag=True, help="Keep resources that the configuration no longer declares.")
    @click.option("--delete-data", is_flag=True, help="Also remove undeclared buckets with objects, secrets and logs.")
    @functools.wraps(body)
    def call(*args: Any, adopt: bool, no_prune: bool, delete_data: bool, **named: Any) -> Any:
        return body(*args, scope=Scope(adopt, not no_prune, delete_data), **named)

    return call
