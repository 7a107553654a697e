"""The calls of ``lambda_script`` that take a whole deployment: plan, apply, deploy, destroy, rollback.

Each imports what it needs when it is called: a declaration alone needs no AWS.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from lambda_toolkit.changes import DeployError, Plan, Progress, Report
from lambda_toolkit.errors import Hint, ToolkitError, Wording, worded_as
from lambda_toolkit.spec.model import Deployment

if TYPE_CHECKING:
    from lambda_toolkit.aws import Aws
    from lambda_toolkit.deploy.rollback import Rollback

WORDING: Wording = {  # the remedies as arguments and calls of ``lambda_script``
    Hint.ADOPT: "To adopt it, deploy once with adopt=True.",
    Hint.DELETE_DATA: "To remove data too, pass delete_data=True.",
    Hint.OVERWRITE_SECRET: "To write the declared value to {0}, deploy once with overwrite=True in its SecretSpec.",
    Hint.ROLLBACK_TO: 'To do it: rollback("{0}", to="{1}")',
}

_advice_in_words = functools.partial(worded_as, WORDING)


def plan(
    deployment: Deployment,
    aws: Aws | None = None,
    *,
    only: Collection[str] | None = None,
    prune: bool = False,
    delete_data: bool = False,
) -> Plan:
    """What :func:`deploy` would change. Reads AWS and builds packages; writes nothing to AWS. Raises ToolkitError.

    With ``only``, the plan is limited to the functions of these names and their own attachments. With ``prune``, it
    also removes resources of this application and stage that are no longer declared: buckets, secrets and log groups
    among them only with ``delete_data``, as their content is lost. Without ``aws``, region and credentials come from
    the environment.
    """
    from lambda_toolkit.deploy.plan import make_plan

    with _advice_in_words():
        return make_plan(aws or new_client(), deployment, only, prune=prune, delete_data=delete_data)


def plan_destroy(deployment: Deployment, aws: Aws | None = None, *, delete_data: bool = False) -> Plan:
    """The removal of everything that was created for ``deployment``. Writes nothing to AWS. Raises ToolkitError.

    Buckets with their objects, log groups and secrets are removed only with ``delete_data``.
    """
    from lambda_toolkit.deploy.removal import make_destroy_plan

    with _advice_in_words():
        return make_destroy_plan(aws or new_client(), deployment, delete_data=delete_data)


def apply(plan: Plan, aws: Aws | None = None, on_progress: Callable[[Progress], None] | None = None) -> Report:
    """Make the changes of ``plan``; report those made, failed, skipped. ``on_progress``: called in this thread."""
    from lambda_toolkit.deploy.execute import execute

    with _advice_in_words():
        return execute(aws or new_client(), plan, on_progress)


def deploy(
    deployment: Deployment,
    aws: Aws | None = None,
    *,
    only: Collection[str] | None = None,
    prune: bool = False,
    delete_data: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Change AWS to match ``deployment``, and report the changes. The parameters are those of :func:`plan`.

    Raises DeployError where a change failed (the others were made), and other ToolkitErrors before the first change.
    """
    aws = aws or new_client()
    return apply_all(plan(deployment, aws, only=only, prune=prune, delete_data=delete_data), aws, on_progress)


def rollback(function: str, to: str | int | None = None, *, aws: Aws | None = None) -> Rollback:
    """Make version ``to`` of ``function`` live again; by default the newest one older than the live one.

    Raises ToolkitError where there is no such version.
    """
    from lambda_toolkit.deploy.rollback import rollback as move_alias

    with _advice_in_words():
        return move_alias(aws or new_client(), function, to)


def new_client(region: str | None = None) -> Aws:
    """A client for ``region``, by default that of the environment."""
    from lambda_toolkit.aws import Aws

    return Aws(region=region)


def apply_all(plan: Plan, aws: Aws, on_progress: Callable[[Progress], None] | None) -> Report:
    """Make the changes of ``plan``. Raises DeployError where one failed."""
    report = apply(plan, aws, on_progress)
    if not report.ok:
        with _advice_in_words():
            raise DeployError(report)
    return report


def together(parts: Sequence[tuple[Deployment, str | None]]) -> Deployment:
    """One deployment of all functions in ``parts``, each with its region. Raises ToolkitError for several regions."""
    functions = tuple(spec for deployment, _ in parts for spec in deployment.tagged().functions)
    owners = {(deployment.application, deployment.stage) for deployment, _ in parts}
    application, stage = owners.pop() if len(owners) == 1 else ("", "")
    regions = sorted({region for _, region in parts if region})
    if len(regions) > 1:
        raise ToolkitError(f"Functions deployed together must be in one region, not in {' and '.join(regions)}.")
    return Deployment(functions, application=application, stage=stage)
