"""The network interfaces that Lambda made for a function, which it deletes itself, with the role of the function.

It makes one for each pair of a subnet and a set of security groups, which the versions of all functions with that pair
share. Up to 20 minutes after the last of them it deletes it; without the role it cannot, and the subnet and the groups
could not be deleted either.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-enis
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import AwsError
from lambda_toolkit.resources.networks.subnets import DENIED
from lambda_toolkit.resources.planning.attachment import Context

_MADE_BY_LAMBDA = "AWS Lambda VPC ENI"  # how each description begins; a function's name and a UUID follow
_Pair = tuple[str, frozenset[str]]  # a subnet, and security groups


@dataclass(frozen=True)
class Interfaces:
    """Those that a function uses: by the pairs of its versions, and by its name in their descriptions."""

    function: str
    pairs: frozenset[_Pair] = frozenset()
    removed: frozenset[str] = frozenset()
    """The functions that the same plan removes: that they use one, too, does not keep it."""
    is_declared: bool = True
    """Whether the network is declared, so that who deploys may look at it."""


def used(context: Context) -> Interfaces | None:
    """The interfaces of a function that is to be removed; ``None`` where it is in no network. Raises AwsError.

    Asks AWS nothing more for a function that has none on AWS and declares none.
    """
    spec, live = context.spec, context.live()
    configurations = [] if live is None else [live.configuration]
    if live is not None and spec.vpc is not None:
        configurations += _versions(context)
    pairs = {pair for item in configurations for pair in _pairs(item.get("VpcConfig"))}
    if live is None and spec.vpc is not None:
        pairs |= set(_pairs(spec.vpc.as_config()))
    if not pairs and (live is not None or spec.vpc is not None):
        return None
    return Interfaces(spec.name, frozenset(pairs), context.scope.destroyed, is_declared=spec.vpc is not None)


def are_used(context: Context) -> bool:
    """Whether a version of the function is in a network, or Lambda has an interface of it to delete."""
    if any(list(_pairs(item.get("VpcConfig"))) for item in _versions(context)):
        return True
    try:
        return bool(_left(context.aws, Interfaces(context.spec.name)))
    except AwsError as error:
        if error.code in DENIED:
            return True
        raise


def wait_until_deleted(aws: Aws, wanted: Interfaces) -> None:
    """Wait until Lambda has deleted the interfaces that no other function uses.

    Raises AwsError where that takes longer than the calls of a deploy may: the role must stay meanwhile.
    """
    left: list[str] = []

    def are_deleted() -> bool | None:
        left[:] = _left(aws, wanted)
        return None if left else True

    try:
        aws.wait_until(are_deleted, "Lambda has deleted the network interfaces")
    except AwsError as error:
        if error.code in DENIED and not wanted.is_declared:
            return  # as before: who deploys was never promised that right
        if error.code:
            raise
        raise AwsError(
            f"Lambda still has {', '.join(left)} of {wanted.function}, which it deletes with this role, up to 20 "
            "minutes after the function. The role stays until then; the same command removes it later.",
            code="InterfacesLeft",
        ) from error


def _left(aws: Aws, wanted: Interfaces) -> list[str]:
    """The ids of those that exist and that no other function uses."""
    found = aws.list_all(
        "ec2",
        "describe_network_interfaces",
        "NetworkInterfaces",
        Filters=[{"Name": "description", "Values": [f"{_MADE_BY_LAMBDA}*"]}],
    )
    own = {str(item["NetworkInterfaceId"]): _pair(item) for item in found if _is_own(item, wanted)}
    if not own:
        return []
    functions = aws.list_all("lambda", "list_functions", "Functions", FunctionVersion="ALL")
    others = (item for item in functions if item["FunctionName"] not in {wanted.function, *wanted.removed})
    in_use = {pair for item in others for pair in _pairs(item.get("VpcConfig"))}
    return sorted(name for name, pair in own.items() if pair not in in_use)


def _is_own(interface: Mapping[str, Any], wanted: Interfaces) -> bool:
    begins = f"{_MADE_BY_LAMBDA}-{wanted.function}-"
    # A UUID follows the name: of the function `one`, those of `one-two` are not
    is_named = str(interface.get("Description")).startswith(begins) and _is_uuid(str(interface["Description"]), begins)
    return is_named or _pair(interface) in wanted.pairs


def _is_uuid(description: str, begins: str) -> bool:
    return len(description.removeprefix(begins)) == len("00000000-0000-0000-0000-000000000000")


def _pair(interface: Mapping[str, Any]) -> _Pair:
    groups = interface.get("Groups") or ()
    return str(interface.get("SubnetId")), frozenset(str(group["GroupId"]) for group in groups)


def _pairs(config: Mapping[str, Any] | None) -> Iterable[_Pair]:
    """The pairs of a VpcConfig."""
    found = config or {}
    groups = frozenset(map(str, found.get("SecurityGroupIds") or ()))
    return ((str(subnet), groups) for subnet in found.get("SubnetIds") or ())


def _versions(context: Context) -> list[Any]:
    name = context.spec.name
    return context.reads.once(
        ("versions", name),
        lambda: context.aws.list_existing("lambda", "list_versions_by_function", "Versions", FunctionName=name),
    )
