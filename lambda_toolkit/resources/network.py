"""What a function in a private network needs: the statements of its role by which Lambda makes network interfaces.

The network itself is a setting of the function (``declared_settings``). Lambda makes one interface for each pair of a
subnet and a set of security groups, with the role of a function; functions share it. It deletes an interface that no
version of any function uses, up to 20 minutes later, and needs the role for that.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.changes import Change
from lambda_toolkit.resources.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.reads import Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind

KIND = Kind.NETWORK
DEPLOYER_ACTIONS = DeployerActions(
    "Networks",
    "ec2",
    (  # Lambda itself demands of who attaches a function: DescribeSecurityGroups, DescribeSubnets, DescribeVpcs
        "DescribeNetworkInterfaces",
        "DescribeRouteTables",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcEndpoints",
        "DescribeVpcs",
    ),
)
_READ, _CREATE, _MANAGE, _CODE = (f"LambdaScriptNetwork{part}" for part in ("Read", "Create", "Manage", "NotByCode"))
SIDS = frozenset({_READ, _CREATE, _MANAGE, _CODE})
"""The ids of the statements of a role that its network needs."""
_READS = ("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets")  # they know no resources
_WRITES = ("ec2:AssignPrivateIpAddresses", "ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses")
_NEW = "ec2:CreateNetworkInterface"


def deployer_resources(spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
    """What EC2 describes has no resources of its own; nothing where no network is declared."""
    return [] if spec.vpc is None else ["*"]


def role_statements(spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
    """Lambda makes interfaces in the declared subnets and groups, with the role; the function's own code may not.

    The account of a subnet is left open: others may share theirs.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-best-practice
    """
    if spec.vpc is None or not spec.vpc.is_attached:
        return ()
    partition, service, region = arns.arn("ec2", "").split(":")[1:4]
    config = spec.vpc.as_config()
    shared = [
        f"arn:{partition}:{service}:{region}:*:{kind}/{item}"
        for kind, items in (("security-group", config["SecurityGroupIds"]), ("subnet", config["SubnetIds"]))
        for item in items
    ]
    own = {"ArnEquals": {"lambda:SourceFunctionArn": arns.arn("lambda", f"function:{spec.name}")}}
    return (
        _statement(_READ, _READS, ["*"]),
        _statement(_CREATE, (_NEW,), [arns.arn("ec2", "network-interface/*"), *shared]),
        _statement(_MANAGE, _WRITES, [arns.arn("ec2", "*/*")]),
        {**_statement(_CODE, (_NEW, *_READS, *_WRITES), ["*"]), "Effect": "Deny", "Condition": own},
    )


def kept_statements(context: Context, stored: Iterable[Statement]) -> list[Statement]:
    """What of a role's ``stored`` statements the network needs although it is no longer declared.

    One that is absent is not managed, so that its statements stay. One that is declared empty needs them as long as a
    version of the function is attached, which a rollback makes live, and as long as Lambda has an interface to delete.
    """
    own = [item for item in stored if item.get("Sid") in SIDS]
    vpc = context.spec.vpc
    if not own or (vpc is not None and vpc.is_attached):
        return []
    if vpc is None:
        return own
    return own if context.live() is not None and _is_used(context) else []


def _is_used(context: Context) -> bool:
    """Whether a version of the function is attached to a network, or an interface of it is left."""
    name = context.spec.name
    versions = context.reads.once(
        ("versions", name),
        lambda: context.aws.list_existing("lambda", "list_versions_by_function", "Versions", FunctionName=name),
    )
    return any(_is_attached(item) for item in versions)


def _is_attached(configuration: Mapping[str, Any]) -> bool:
    return bool((configuration.get("VpcConfig") or {}).get("SubnetIds"))


def prefetch(context: Context) -> Prefetch:
    """None."""
    return Prefetch({})


def plan(context: Context) -> list[Change]:
    """None: it is a setting of the function."""
    return []


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: a network that is not declared is not managed."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """None: Lambda deletes the interfaces itself."""
    return []


def _statement(sid: str, actions: Collection[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}
