"""``policy``: the IAM policy of whoever deploys this pipeline, made from its configuration."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace

import click

from lambda_script import FunctionSpec
from lambda_toolkit.pipeline.commands.shared.options import Request, with_request
from lambda_toolkit.pipeline.config.aws.deployment import aws_name, deployment, function_spec
from lambda_toolkit.pipeline.config.aws.role_policy import operator_policy, partition, permissions
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import UsageError

_REPOSITORY = re.compile(r"[\w.-]+(@\d+)?/[\w.-]+(@\d+)?", re.ASCII)
_ENVIRONMENT = "production"  # that of .github/workflows/deploy.yml


@click.command("policy")
@click.option("--account", metavar="ID", help="The AWS account; default: the one that the credentials are of.")
@click.option("--delete-data", is_flag=True, help="With what `destroy --delete-data` needs.")
@click.option("--operate", is_flag=True, help="For who runs what is deployed: run, status, logs, ...")
@click.option("--read-only", is_flag=True, help="For who runs plan alone: no write, and no value of a secret.")
@click.option("--boundary", is_flag=True, help="Limited to roles with the configured permissions boundary.")
@click.option("--function", metavar="NAME", help="Print what the role of this function must allow instead.")
@click.option("--trust", type=click.Choice(["github"]), help="Print who may assume the deployer's role instead.")
@click.option("--repository", metavar="OWNER/REPO", help="With --trust: the repository; or OWNER@ID/REPO@ID.")
@click.option("--environment", metavar="NAME", help="With --trust: jobs of this environment; default: production.")
@click.option("--branch", metavar="NAME", help="With --trust: jobs of this branch that name no environment.")
@with_request
def command(
    request: Request,
    account: str | None,
    delete_data: bool,
    operate: bool,
    read_only: bool,
    boundary: bool,
    function: str | None,
    trust: str | None,
    repository: str | None,
    environment: str | None,
    branch: str | None,
) -> None:
    """Print the least IAM policy for who runs deploy, plan, rollback and destroy: actions on exact names.

    With --operate, print that for the other commands: prepare, run, status, logs, rejected, replay and invoke.

    With --function NAME, print what its execution role must allow: for who writes a role that `role` names in the
    configuration. Its trust policy must let lambda.amazonaws.com assume it.

    With --trust github --repository OWNER/REPO, print the trust policy of a role for GitHub Actions instead, which
    needs no stored key. Both are JSON on stdout. Print it again when functions, buckets, topics or secrets are added.
    """
    from lambda_script import deployer_policy
    from lambda_toolkit.aws.account import Place

    if bool(trust) != bool(repository):
        raise UsageError("--trust and --repository go together.")
    chosen = {
        "--read-only": read_only,
        "--operate": operate,
        "--delete-data": delete_data,
        "--function": bool(function),
        "--trust": bool(trust),
    }
    together = [option for option, is_given in chosen.items() if is_given]
    if boundary and together and together[0] != "--delete-data":
        together = ["--boundary", *together]
    if len(together) > 1:
        raise UsageError(f"{together[0]} and {together[1]} exclude each other.")
    if repository and not _REPOSITORY.fullmatch(repository):
        raise UsageError(f"--repository is written OWNER/REPO or OWNER@ID/REPO@ID; {repository!r} is not.")
    if environment and branch:
        raise UsageError("Give --environment or --branch: a job's token names its environment, or else its branch.")
    if account and not re.fullmatch(r"\d{12}", account):
        raise UsageError(f"--account is the 12 digits of an AWS account; {account!r} is not.")
    if not account:
        target = request.target()
        if target.is_local:
            raise UsageError(
                "The local stack is up, and its account is none of AWS. Name yours: --account ID. Or give the "
                "credentials of AWS, in a shell without the exports of `local env`."
            )
        account = target.aws().account_id
        request.screen.progress(f"For the account {account}, which the credentials are of:")
    pipeline = load(request.config, request.stage, os.environ)
    place = Place(account, pipeline.region, partition(pipeline.region))
    if repository:
        jobs = {"branch": branch} if branch else {"environment": environment or _ENVIRONMENT}
        document = deployer_policy.github_trust(repository, place, **jobs)
    elif operate:
        document = operator_policy(pipeline, place.account)
    elif function:
        document = deployer_policy.execution_policy(_with_permissions(pipeline, function, account), place)
    else:
        document = deployer_policy.deployer_policy(
            deployment(pipeline, place.account, {}), place, delete_data=delete_data
        )
        if read_only:
            document = deployer_policy.read_only(document)
        if boundary:
            document = deployer_policy.bounded(document, _boundaries(pipeline, account))
        if deployer_policy.length(document) > deployer_policy.LONGEST:
            request.screen.progress(
                f"This has {deployer_policy.length(document):,} characters; a managed policy may have "
                f"{deployer_policy.LONGEST:,}. Attach its statements as two policies, or the whole as an inline policy "
                f"of a role, which may have {deployer_policy.LONGEST_INLINE:,}."
            )
    click.echo(json.dumps(document, indent=1))


def _with_permissions(pipeline: Pipeline, function: str, account: str) -> FunctionSpec:
    """What is deployed of ``function``, with the permissions that a role which is given must have."""
    name = aws_name(pipeline, function)
    [declared] = [item for item in pipeline.functions.values() if item.spec.name == name]
    return replace(function_spec(pipeline, declared, account), permissions=permissions(pipeline, declared, account))


def _boundaries(pipeline: Pipeline, account: str) -> set[str]:
    """The permissions boundary of the roles that the deploy creates."""
    if not pipeline.common.permissions_boundary:
        raise UsageError(
            f"--boundary: {pipeline.path} names no `permissions_boundary` in [pipeline]. It is the ARN of a managed "
            'policy, such as "arn:aws:iam::{account}:policy/limits".'
        )
    return {pipeline.expand(pipeline.common.permissions_boundary, account)}
