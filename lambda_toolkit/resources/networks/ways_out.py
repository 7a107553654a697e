"""Whether functions in a network reach the services of AWS that they may call, and what a missing way costs. Pure.

A function in a VPC has no public address, so that an internet gateway is no way for IPv4. There are four: a gateway
endpoint (S3 and DynamoDB), an interface endpoint (others), a NAT gateway, and, for IPv6, an egress-only internet
gateway. Lambda itself writes logs and traces, polls queues and delivers failed events: for these, functions need none.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc-internet.html
https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lambda_toolkit.resources.networks.subnets import Network
from lambda_toolkit.spec.network import Vpc

if TYPE_CHECKING:
    from lambda_toolkit.spec.prices import PriceList

_ENDPOINTS = {  # by the prefix of IAM actions, the end of the endpoint's name where it is another
    "cloudwatch": "monitoring",
    "firehose": "kinesis-firehose",
    "kinesis": "kinesis-streams",
}
_GATEWAYS = ("dynamodb", "s3")  # services that have free gateway endpoints
_NOT_CALLED = ("kms", "rds-db", "xray")  # used on behalf of the function, or not over the network
_HTTPS = 443
_IPV4, _IPV6 = "0.0.0.0/0", "::/0"
_Item = Mapping[str, Any]


def services(permissions: Iterable[_Item]) -> list[str]:
    """The services that ``permissions``, statements of IAM, allow to call, by the prefixes of their actions."""
    found = {
        str(action).partition(":")[0].lower()
        for statement in permissions
        if statement.get("Effect") == "Allow"
        for action in _listed(statement.get("Action"))
        if ":" in str(action)
    }
    return sorted(found - set(_NOT_CALLED))


def notes(vpc: Vpc, network: Network, needs: Mapping[str, Sequence[str]], prices: PriceList) -> list[str]:
    """What ``network`` lacks for functions that call services: a sentence each, without the period.

    ``needs`` has, by the prefix of IAM actions, the names of the functions.
    """
    found = [*_full(network), *_closed(vpc, network)]
    lacking = {service: left for service in needs if (left := _without_way(vpc, network, service))}
    found += [_note(service, needs[service], left, vpc, network, prices) for service, left in lacking.items()]
    if lacking:
        found.append(_for_all(vpc, network, prices))
    return found


@dataclass(frozen=True)
class Charged:
    """What of networks costs something by the hour; all that is in them shares it."""

    nat_gateways: int = 0
    """Those that the subnets use."""
    endpoints: int = 0
    """The interface endpoints of the VPCs, each in each of its zones."""


def charged(networks: Iterable[Network]) -> Charged:
    """What of ``networks`` costs something, each counted once."""
    gateways: set[str] = set()
    zones: dict[str, int] = {}
    for network in networks:
        gateways |= {way for subnet in network.subnets if (way := _nat(network, subnet))}
        for item in network.endpoints:
            if item.get("VpcEndpointType") == "Interface":
                zones[str(item["VpcEndpointId"])] = len(item.get("SubnetIds") or ()) or 1
    return Charged(len(gateways), sum(zones.values()))


def _note(
    service: str, functions: Sequence[str], left: Mapping[str, str], vpc: Vpc, network: Network, prices: PriceList
) -> str:
    reasons = sorted({reason for reason in left.values() if reason})
    why = f" ({'; '.join(reasons)})" if reasons else ""
    where = " and ".join(sorted(left))
    text = f"{', '.join(functions)}: no way from {where} to {_ENDPOINTS.get(service, service)}{why}. "
    if service in _GATEWAYS:
        return f"{text}A gateway endpoint for it costs nothing"
    return f"{text}An interface endpoint for it costs {_dollars(_endpoint(network, prices))} a month"


def _for_all(vpc: Vpc, network: Network, prices: PriceList) -> str:
    hours = prices["nat_hours"].amount + prices["public_address_hours"].amount
    nat = f"a NAT gateway, {_dollars(hours * prices.hours)} a month and {_dollars(prices['nat_traffic'].amount)} a GB"
    ipv6 = "an egress-only internet gateway for IPv6, which costs nothing"
    declared = "" if vpc.ipv6 else ", with `ipv6`"
    return f"one way for all of them: {nat}; or {ipv6}{declared}"


def _endpoint(network: Network, prices: PriceList) -> Decimal:
    """An interface endpoint in each zone of the subnets, for a month."""
    return prices["endpoint_hours"].amount * prices.hours * max(network.zones, 1)


def _without_way(vpc: Vpc, network: Network, service: str) -> dict[str, str]:
    """The subnets without a way to ``service``, and why, where something is there that is none."""
    return {
        subnet: _reason(vpc, network, subnet, service)
        for subnet in network.subnets
        if not _has_way(vpc, network, subnet, service)
    }


def _has_way(vpc: Vpc, network: Network, subnet: str, service: str) -> bool:
    table = network.table(subnet)
    if service in _GATEWAYS and any(
        table.get("RouteTableId") in (item.get("RouteTableIds") or ()) for item in _own(network, service, "Gateway")
    ):
        return True
    if any(_is_open(vpc, network, item) for item in _own(network, service, "Interface")):
        return True
    default = _default(table, _IPV4)
    if default is not None and not _is_internet_gateway(default):
        return True
    return vpc.ipv6 and _default(table, _IPV6) is not None


def _reason(vpc: Vpc, network: Network, subnet: str, service: str) -> str:
    for item in _own(network, service, "Interface"):
        if not item.get("PrivateDnsEnabled"):
            return f"{item['VpcEndpointId']} has no private DNS names, so its address is not used"
        return f"{item['VpcEndpointId']} does not let {' or '.join(sorted(vpc.security_groups))} in on port 443"
    default = _default(network.table(subnet), _IPV4)
    if default is not None and _is_internet_gateway(default):
        return "functions have no public address, so that the internet gateway is no way for them"
    return ""


def _own(network: Network, service: str, kind: str) -> Iterator[_Item]:
    """The endpoints of ``service`` that work."""
    ending = f".{_ENDPOINTS.get(service, service)}"
    for item in network.endpoints:
        if (
            item.get("VpcEndpointType") == kind
            and str(item.get("ServiceName")).endswith(ending)
            and str(item.get("State")).lower() == "available"
        ):
            yield item


def _is_open(vpc: Vpc, network: Network, endpoint: _Item) -> bool:
    """Whether functions reach an interface endpoint, by the name that SDKs use."""
    if not endpoint.get("PrivateDnsEnabled"):
        return False
    groups = [network.groups.get(str(item["GroupId"])) for item in endpoint.get("Groups") or ()]
    known = [group for group in groups if group is not None]
    if len(known) < len(groups) or not groups:
        return True  # nothing shows that it is closed
    blocks = [str(item.get("CidrBlock")) for item in network.subnets.values()]
    return any(
        _lets_in(permission, set(vpc.security_groups), blocks)
        for group in known
        for permission in group.get("IpPermissions") or ()
        if _has_port(permission)
    )


def _lets_in(permission: _Item, groups: set[str], blocks: Sequence[str]) -> bool:
    pairs = {str(item.get("GroupId")) for item in permission.get("UserIdGroupPairs") or ()}
    if pairs & groups or permission.get("PrefixListIds"):
        return True
    ranges = [str(item.get("CidrIp")) for item in permission.get("IpRanges") or ()]
    return bool(blocks) and all(any(_is_within(block, other) for other in ranges) for block in blocks)


def _is_within(block: str, other: str) -> bool:
    try:
        return ipaddress.IPv4Network(block).subnet_of(ipaddress.IPv4Network(other))
    except ValueError:
        return False


def _has_port(permission: _Item) -> bool:
    protocol = str(permission.get("IpProtocol"))
    if protocol == "-1":
        return True
    first, last = permission.get("FromPort"), permission.get("ToPort")
    return protocol in ("tcp", "6") and first is not None and last is not None and first <= _HTTPS <= last


def _full(network: Network) -> Iterator[str]:
    for name, subnet in sorted(network.subnets.items()):
        if subnet.get("AvailableIpAddressCount") == 0:
            yield f"subnet {name} has no free address, and Lambda needs one for its network interface"


def _closed(vpc: Vpc, network: Network) -> Iterator[str]:
    groups = [network.groups[name] for name in sorted(vpc.security_groups) if name in network.groups]
    outgoing = [permission for group in groups for permission in group.get("IpPermissionsEgress") or ()]
    if groups and not any(map(_has_port, outgoing)):
        yield f"{' and '.join(sorted(vpc.security_groups))} let nothing out on port 443, which AWS is called on"


def _default(table: _Item, destination: str) -> _Item | None:
    """The default route of a table, where it leads somewhere."""
    for route in table.get("Routes") or ():
        is_default = destination in (route.get("DestinationCidrBlock"), route.get("DestinationIpv6CidrBlock"))
        if is_default and route.get("State") != "blackhole":
            found: _Item = route
            return found
    return None


def _is_internet_gateway(route: _Item) -> bool:
    return str(route.get("GatewayId")).startswith("igw-")


def _nat(network: Network, subnet: str) -> str:
    default = _default(network.table(subnet), _IPV4) or {}
    return str(default.get("NatGatewayId") or "")


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _dollars(amount: Decimal) -> str:
    return f"${amount:.2f}"
