"""What a function in a private network needs: the statements of its role by which Lambda makes network interfaces.

The network itself is a setting of the function (``declared_settings``). ``interfaces`` has what Lambda made in it,
``subnets`` what the network has, and ``ways_out`` what it lacks.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change
from lambda_toolkit.errors import AwsError, LimitError
from lambda_toolkit.resources.networks import interfaces, subnets, ways_out
from lambda_toolkit.resources.planning.attachment import Context, DeployerActions, Statement
from lambda_toolkit.resources.planning.reads import Prefetch
from lambda_toolkit.spec.model import FunctionSpec, Kind
from lambda_toolkit.spec.network import Vpc

if TYPE_CHECKING:
    from lambda_toolkit.spec.prices import PriceList

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

    The account of a subnet is left open: others may share theirs. What ``spec`` itself permits is not denied.
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
    denied = [action for action in (_NEW, *_READS, *_WRITES) if not _is_declared(spec, action)]
    return (
        _statement(_READ, _READS, ["*"]),
        _statement(_CREATE, (_NEW,), [arns.arn("ec2", "network-interface/*"), *shared]),
        _statement(_MANAGE, _WRITES, [arns.arn("ec2", "*/*")]),
        *([{**_statement(_CODE, denied, ["*"]), "Effect": "Deny", "Condition": own}] if denied else []),
    )


def _is_declared(spec: FunctionSpec, action: str) -> bool:
    """Whether the declaration allows the function's code to take ``action``."""
    patterns = [
        str(pattern).lower()
        for statement in spec.permissions or ()
        if statement.get("Effect") == "Allow"
        for pattern in _listed(statement.get("Action"))
    ]
    return any(fnmatchcase(action.lower(), pattern) for pattern in patterns)


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
    return own if context.live() is not None and interfaces.are_used(context) else []


def prefetch(context: Context) -> Prefetch:
    """The subnets with what is around them, and the role's interfaces, where a network is declared."""
    vpc = _attached(context)
    return Prefetch({} if vpc is None else {subnets.key(vpc): lambda: _read(context, vpc)})


def plan(context: Context) -> list[Change]:
    """None: it is a setting of the function. Raises LimitError for a network that Lambda would refuse."""
    vpc = _attached(context)
    found = None if vpc is None else _read(context, vpc)
    if vpc is not None and found is not None:
        problems = list(subnets.problems(vpc, found, context.aws.region))
        if problems:
            raise LimitError(f"Function `{context.spec.name}`: {' '.join(problems)}")
    return []


def notes(contexts: Iterable[Context]) -> list[str]:
    """What the networks of these functions lack, with what it costs in a month: a sentence each, without the period."""
    by_network: dict[Vpc, list[Context]] = {}
    for context in contexts:
        vpc = _attached(context)
        if vpc is not None:
            by_network.setdefault(vpc, []).append(context)
    found: list[str] = []
    for vpc, users in by_network.items():
        found += _notes(vpc, users)
    return found


def network_charges(aws: Aws, vpcs: Iterable[Vpc]) -> ways_out.Charged | None:
    """What of the networks ``vpcs`` costs something by the hour; ``None`` where the credentials do not show it.

    Raises AwsError.
    """
    try:
        return ways_out.charged([subnets.read(aws, vpc) for vpc in dict.fromkeys(vpcs) if vpc.is_attached])
    except AwsError as error:
        if error.code in subnets.DENIED:
            return None
        raise


def _notes(vpc: Vpc, users: Sequence[Context]) -> list[str]:
    network = _read(users[0], vpc)
    if network is None:
        names = ", ".join(context.spec.name for context in users)
        return [f"the network of {names} was not looked at: the credentials lack ec2:DescribeSubnets or another of its"]
    needs: dict[str, list[str]] = {}
    for context in users:
        for service in ways_out.services(context.spec.permissions or ()):
            needs.setdefault(service, []).append(context.spec.name)
    return ways_out.notes(vpc, network, needs, _prices(users[0]))


def _prices(context: Context) -> PriceList:
    from lambda_toolkit.spec.prices import price_list  # on use: most functions are in no network

    return price_list(context.aws.region)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _attached(context: Context) -> Vpc | None:
    vpc = context.spec.vpc
    return vpc if vpc is not None and vpc.is_attached else None


def _read(context: Context, vpc: Vpc) -> subnets.Network | None:
    """The network; ``None`` where the credentials do not allow to look at it."""
    try:
        return context.reads.once(subnets.key(vpc), lambda: subnets.read(context.aws, vpc))
    except AwsError as error:
        if error.code in subnets.DENIED:
            return None
        raise


def plan_undeclared(context: Context, tagged: Collection[str]) -> list[Change]:
    """None: a network that is not declared is not managed."""
    return []


def plan_removal(context: Context) -> list[Change]:
    """None: Lambda deletes the interfaces itself, which the removal of the role waits for."""
    return []


def _statement(sid: str, actions: Collection[str], resources: Sequence[str]) -> dict[str, object]:
    return {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": list(resources)}
