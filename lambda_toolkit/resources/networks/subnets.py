"""The subnets of a function and what is around them: security groups, routes, endpoints. Four calls to EC2."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lambda_toolkit.aws.account import ACCESS_DENIED
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.aws.parallel import run_parallel, task
from lambda_toolkit.spec.network import Vpc

DENIED = (*ACCESS_DENIED, "UnauthorizedOperation")
"""The error codes by which EC2 says that the credentials do not allow a call."""
_Item = Mapping[str, Any]


@dataclass(frozen=True)
class Network:
    """What EC2 has, as it describes it."""

    subnets: Mapping[str, _Item]
    """By their ids, those of the function."""
    groups: Mapping[str, _Item]
    """By their ids, those of the VPC."""
    tables: Sequence[_Item] = ()
    """The route tables of the VPC."""
    endpoints: Sequence[_Item] = ()
    """The endpoints of the VPC."""

    @property
    def zones(self) -> int:
        """In how many availability zones the subnets are."""
        return len({item.get("AvailabilityZone") for item in self.subnets.values()})

    def table(self, subnet: str) -> _Item:
        """The route table of a subnet: its own, or else the main one of its VPC."""
        main: _Item = {}
        for table in self.tables:
            for association in table.get("Associations") or ():
                if association.get("SubnetId") == subnet:
                    return table
                if association.get("Main"):
                    main = table
        return main


def key(vpc: Vpc) -> object:
    """What a plan's reads know the network by."""
    return "network", frozenset(vpc.subnets), frozenset(vpc.security_groups)


def read(aws: Aws, vpc: Vpc) -> Network:
    """The network that ``vpc`` names, as far as it exists. Raises AwsError."""
    wanted = _filters("subnet-id", vpc.subnets)
    found = aws.list_all("ec2", "describe_subnets", "Subnets", Filters=wanted)
    vpcs = _filters("vpc-id", {str(item["VpcId"]) for item in found})
    around = (
        task(aws.list_all, "ec2", "describe_security_groups", "SecurityGroups", Filters=vpcs),
        task(aws.list_all, "ec2", "describe_route_tables", "RouteTables", Filters=vpcs),
        task(aws.list_all, "ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=vpcs),
    )
    groups, tables, endpoints = run_parallel(around) if found else ([], [], [])
    return Network(
        {str(item["SubnetId"]): item for item in found},
        {str(item["GroupId"]): item for item in groups},
        tables,
        endpoints,
    )


def problems(vpc: Vpc, network: Network, region: str) -> Iterator[str]:
    """Why Lambda would refuse ``vpc``: a sentence each."""
    for subnet in sorted(set(vpc.subnets) - network.subnets.keys()):
        yield f"there is no subnet {subnet} in {region}."
    vpcs = sorted({str(item["VpcId"]) for item in network.subnets.values()})
    if len(vpcs) > 1:
        yield f"its subnets are in {' and '.join(vpcs)}: Lambda needs all of them in one VPC."
    if vpcs:
        for group in sorted(set(vpc.security_groups) - network.groups.keys()):
            yield f"security group {group} is not in {vpcs[0]}, where its subnets are."
    if vpc.ipv6:
        for name, item in sorted(network.subnets.items()):
            if not _has_ipv6(item):
                yield f"subnet {name} has no IPv6 block, which `ipv6` needs: associate one, or declare no `ipv6`."


def _has_ipv6(subnet: _Item) -> bool:
    blocks = subnet.get("Ipv6CidrBlockAssociationSet") or ()
    return any((block.get("Ipv6CidrBlockState") or {}).get("State") == "associated" for block in blocks)


def _filters(name: str, values: Collection[str]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": sorted(set(values))}]
