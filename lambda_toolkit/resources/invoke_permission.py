"""Who may invoke a function: statements of its alias's policy, with ids that follow from their content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.alias import LIVE
from lambda_toolkit.spec.ownership import short_hash

PREFIX = "lambda-script-"
_NEW = ("ResourceNotFoundException",)  # an alias that was made a moment ago is not known everywhere


@dataclass(frozen=True)
class Permission:
    """That ``service`` may invoke the alias on behalf of ``source_arn``. ``purpose`` is ``schedule`` or ``s3``."""

    purpose: str
    service: str
    source_arn: str
    source_account: str

    @property
    def statement_id(self) -> str:
        """The same for the same permission, so that none is ever added twice."""
        return f"{PREFIX}{self.purpose}-{short_hash(self.source_arn)}"


def read(aws: Aws, function: str) -> dict[str, str]:
    """Our statements of the alias's policy: by statement id, the ARN that each lets in. Empty without an alias."""
    return aws.once(("policy", function), lambda: _ours(aws, function))


def _ours(aws: Aws, function: str) -> dict[str, str]:
    """Our statements of the alias's policy. Emulators return those of the function and of other aliases as well."""
    answer = aws.find("lambda", "get_policy", FunctionName=function, Qualifier=LIVE)
    statements = json.loads(answer["Policy"])["Statement"] if answer else []
    resource = f":function:{function}:{LIVE}"
    return {
        statement["Sid"]: _source(statement)
        for statement in statements
        if str(statement.get("Sid", "")).startswith(PREFIX) and str(statement.get("Resource", "")).endswith(resource)
    }


def add(aws: Aws, function: str, permission: Permission, live: dict[str, str]) -> None:
    """Let the source in, unless it is let in already."""
    statement_id = permission.statement_id
    if live.get(statement_id) == permission.source_arn:
        return
    if statement_id in live:
        remove(aws, function, [statement_id])
    # A bucket's ARN names no account. Where an ARN does, as a rule's, a second condition would add nothing, and not
    # every service says on whose account it calls.
    names_account = bool(permission.source_arn.split(":")[4])
    account: dict[str, Any] = {} if names_account else {"SourceAccount": permission.source_account}
    try:
        aws.call(
            "lambda",
            "add_permission",
            also_wait_for=_NEW,
            FunctionName=function,
            Qualifier=LIVE,
            StatementId=statement_id,
            Action="lambda:InvokeFunction",
            Principal=permission.service,
            SourceArn=permission.source_arn,
            **account,
        )
    except AwsError as error:
        if error.code != "ResourceConflictException" or "already exists" not in str(error):
            raise  # otherwise it is ours: a repeated call found what its first try had made


def remove(aws: Aws, function: str, statement_ids: Iterable[str]) -> None:
    """Take these statements off the alias, where they are there."""
    for statement_id in statement_ids:
        aws.find("lambda", "remove_permission", FunctionName=function, Qualifier=LIVE, StatementId=statement_id)


def _source(statement: dict[str, Any]) -> str:
    """The ARN that a statement's condition names, under whatever operator and spelling AWS gives it back."""
    for condition in statement.get("Condition", {}).values():
        for key, value in condition.items():
            if key.lower() == "aws:sourcearn":
                return str(value)
    return ""
