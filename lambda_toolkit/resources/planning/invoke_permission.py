"""Invoke permissions: statements of the alias's resource-based policy, whose ids are a hash of their content.

https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.planning.alias import LIVE
from lambda_toolkit.spec.ownership import short_hash

PREFIX = "lambda-script-"
_NEW = ("ResourceNotFoundException",)  # eventual consistency: a new alias is not known everywhere yet


@dataclass(frozen=True)
class Permission:
    """Allows ``service`` to invoke the alias for ``source_arn``."""

    purpose: str
    """Part of the statement's id: ``schedule``, ``s3`` or ``sns``."""
    service: str
    """The principal, such as ``events.amazonaws.com``."""
    source_arn: str
    """The rule or bucket that may invoke the alias."""
    source_account: str
    """The account that must own the source."""

    @property
    def statement_id(self) -> str:
        """Equal for equal permissions, so that none is added twice."""
        return f"{PREFIX}{self.purpose}-{short_hash(self.source_arn)}"


def read(aws: Aws, function: str) -> dict[str, str]:
    """Our statements of the alias's policy: by statement id, the allowed source's ARN. Empty without an alias.

    Emulators return the statements of the function and of other aliases as well; those are not in the result.
    """
    answer = aws.find("lambda", "get_policy", FunctionName=function, Qualifier=LIVE)
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    resource = f":function:{function}:{LIVE}"
    return {
        statement["Sid"]: _source(statement)
        for statement in statements
        if str(statement.get("Sid", "")).startswith(PREFIX) and str(statement.get("Resource", "")).endswith(resource)
    }


def grant(aws: Aws, function: str, permission: Permission, live: dict[str, str]) -> None:
    """Grant the invoke permission, unless ``live`` (see :func:`read`) has it already."""
    statement_id = permission.statement_id
    if live.get(statement_id) == permission.source_arn:
        return
    if statement_id in live:
        revoke(aws, function, [statement_id])
    # A bucket's ARN contains no account. Where an ARN does, as a rule's, a second condition would add nothing, and not
    # every service sends aws:SourceAccount.
    names_account = bool(permission.source_arn.split(":")[4])
    account: dict[str, Any] = {} if names_account else {"SourceAccount": permission.source_account}
    allowed = {"Principal": permission.service, "SourceArn": permission.source_arn, **account}
    add(aws, function, statement_id, Action="lambda:InvokeFunction", **allowed)


def add(aws: Aws, function: str, statement_id: str, **allowed: Any) -> None:
    """Add a statement to the alias's policy; ``allowed`` are AddPermission's parameters. Raises AwsError."""
    try:
        aws.call(
            "lambda",
            "add_permission",
            also_retry=_NEW,
            FunctionName=function,
            Qualifier=LIVE,
            StatementId=statement_id,
            **allowed,
        )
    except AwsError as error:
        if error.code != "ResourceConflictException" or "already exists" not in str(error):
            raise  # otherwise the first attempt of a retried call had added it


def revoke(aws: Aws, function: str, statement_ids: Iterable[str]) -> None:
    """Remove these statements from the alias's policy, where they exist."""
    for statement_id in statement_ids:
        aws.find("lambda", "remove_permission", FunctionName=function, Qualifier=LIVE, StatementId=statement_id)


def _source(statement: dict[str, Any]) -> str:
    """The source ARN in a statement's condition, under whatever operator and spelling AWS returns it."""
    for condition in statement.get("Condition", {}).values():
        for key, value in condition.items():
            if key.lower() == "aws:sourcearn":
                return str(value)
    return ""
