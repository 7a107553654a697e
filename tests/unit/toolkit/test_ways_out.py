"""What functions in a network reach of AWS, and what a missing way costs."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_toolkit.resources.networks import ways_out
from lambda_toolkit.resources.networks.subnets import Network
from lambda_toolkit.spec.network import Vpc
from lambda_toolkit.spec.prices import price_list
from tests.support.lambda_networks import endpoint, group, route_table, subnet

VPC = Vpc(("subnet-1a", "subnet-2b"), ("sg-1",))
NAT = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
INTERNET = {"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "active"}
TRANSIT = {"DestinationCidrBlock": "0.0.0.0/0", "TransitGatewayId": "tgw-1", "State": "active"}
EGRESS = {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1", "State": "active"}
HTTPS_FROM_GROUP = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "UserIdGroupPairs": [{"GroupId": "sg-1"}]}
HTTPS_FROM_BLOCK = {"IpProtocol": "tcp", "FromPort": 0, "ToPort": 65535, "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
OTHER_BLOCK = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.1.0.0/16"}]}
SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": "sg-1"}]}


def network(*tables: Any, endpoints: Any = (), groups: Any = (), **different: Any) -> Network:
    subnets = [subnet("subnet-1a", **different), subnet("subnet-2b", zone="b", **different)]
    every = [group("sg-1"), *groups]
    return Network(
        {item["SubnetId"]: item for item in subnets},
        {item["GroupId"]: item for item in every},
        tables or [route_table()],
        endpoints,
    )


def notes(found: Network, service: str, vpc: Vpc = VPC) -> list[str]:
    return ways_out.notes(vpc, found, {service: ["load"]}, price_list("eu-west-2"))


def closed(name: str, *permissions: Any) -> Network:
    behind = endpoint("sns", Groups=[{"GroupId": name}])
    return network(endpoints=[behind], groups=[group(name, IpPermissions=list(permissions))])


@pytest.mark.parametrize(
    ("found", "service", "vpc"),
    [
        (network(route_table(NAT)), "secretsmanager", VPC),
        (network(route_table(TRANSIT)), "sns", VPC),
        (network(route_table(EGRESS)), "s3", Vpc(VPC.subnets, VPC.security_groups, ipv6=True)),
        (network(endpoints=[endpoint("s3", "Gateway")]), "s3", VPC),
        (network(endpoints=[endpoint("s3")]), "s3", VPC),
        (network(endpoints=[endpoint("monitoring")]), "cloudwatch", VPC),
        (network(endpoints=[endpoint("secretsmanager", State="Available")]), "secretsmanager", VPC),
        (closed("sg-2", HTTPS_FROM_GROUP), "sns", VPC),
        (closed("sg-2", SSH, HTTPS_FROM_BLOCK), "sns", VPC),
        (network(route_table(NAT, name="rtb-2", subnets=VPC.subnets), route_table()), "sns", VPC),
    ],
)
def test_way_that_is_there_is_found(found: Network, service: str, vpc: Vpc) -> None:
    assert notes(found, service, vpc) == []


@pytest.mark.parametrize(
    ("found", "service", "said"),
    [
        (network(), "s3", "no way from subnet-1a and subnet-2b to s3. A gateway endpoint for it costs nothing"),
        (network(), "sns", "to sns. An interface endpoint for it costs $16.06 a month"),
        (network(), "cloudwatch", "to monitoring. An interface"),
        (network(route_table(INTERNET)), "sns", "no public address, so that the internet gateway is no way for them"),
        (network(route_table({**NAT, "State": "blackhole"})), "sns", "to sns. An"),
        (network(route_table(EGRESS)), "sns", "to sns. An"),
        (
            network(route_table(), route_table(NAT, name="rtb-2", subnets=("subnet-1a",))),
            "sns",
            "from subnet-2b to",
        ),
        (network(endpoints=[endpoint("s3", "Gateway", RouteTableIds=["rtb-9"])]), "s3", "to s3. A gateway"),
        (network(endpoints=[endpoint("sns", State="pending")]), "sns", "to sns. An"),
        (network(endpoints=[endpoint("sns-fips")]), "sns", "to sns. An"),
        (network(endpoints=[endpoint("sns", PrivateDnsEnabled=False)]), "sns", "vpce-sns has no private DNS names"),
        (closed("sg-2"), "sns", "vpce-sns does not let sg-1 in on port 443"),
        (closed("sg-2", SSH), "sns", "vpce-sns does not let sg-1 in on port 443"),
        (closed("sg-2", OTHER_BLOCK), "sns", "vpce-sns does not let sg-1 in on port 443"),
    ],
)
def test_way_that_is_missing_is_named_with_its_price(found: Network, service: str, said: str) -> None:
    one, all_ = notes(found, service)
    assert one.startswith("load: no way from ")
    assert said in one
    assert "a NAT gateway, $40.15 a month and $0.05 a GB" in all_


def test_network_that_lets_nothing_out_is_named() -> None:
    only = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    found = network(route_table(NAT), groups=[group("sg-1", IpPermissionsEgress=[only])], AvailableIpAddressCount=0)
    assert notes(found, "s3") == [
        "subnet subnet-1a has no free address, and Lambda needs one for its network interface",
        "subnet subnet-2b has no free address, and Lambda needs one for its network interface",
        "sg-1 let nothing out on port 443, which AWS is called on",
    ]


def test_services_are_those_that_permissions_allow() -> None:
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
        {"Effect": "Allow", "Action": ["lambda:Invoke", "athena:Get", "events:Put", "glue:Get"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["S3:PutObject", "sns:Publish", "kms:Decrypt", "rds-db:x"],
            "Resource": "*",
        },
        {"Effect": "Deny", "Action": "sqs:*", "Resource": "*"},
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ]
    assert ways_out.services(statements) == ["athena", "events", "glue", "lambda", "s3", "sns"]


def test_what_is_charged_is_counted() -> None:
    found = network(
        route_table(NAT),
        endpoints=[endpoint("s3", "Gateway"), endpoint("sns", SubnetIds=["a", "b"]), endpoint("secretsmanager")],
    )
    assert ways_out.charged([found, found]) == ways_out.Charged(nat_gateways=1, endpoints=3)


def port(first: int | None, last: int | None, protocol: str = "tcp", **more: Any) -> dict[str, Any]:
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, **more}


@pytest.mark.parametrize(
    ("permission", "passes"),
    [
        (port(443, 443), True),
        (port(0, 443), True),
        (port(443, 65535), True),
        (port(444, 500), False),
        (port(0, 442), False),
        (port(443, 443, "6"), True),
        (port(443, 443, "udp"), False),
        (port(None, None, "-1"), True),
        (port(None, 443), False),
        (port(443, None), False),
        ({}, False),
    ],
)
def test_port_443_is_the_one_that_matters(permission: dict[str, Any], passes: bool) -> None:
    """Out of the function's group, and into that of an endpoint."""
    out = network(route_table(NAT), groups=[group("sg-1", IpPermissionsEgress=[permission])])
    assert notes(out, "sns") == ([] if passes else ["sg-1 let nothing out on port 443, which AWS is called on"])
    into = closed("sg-2", {**permission, "UserIdGroupPairs": [{"GroupId": "sg-1"}]})
    assert (notes(into, "sns") == []) is passes


@pytest.mark.parametrize(
    ("source", "passes"),
    [
        ({"UserIdGroupPairs": [{"GroupId": "sg-1"}]}, True),
        ({"UserIdGroupPairs": [{"GroupId": "sg-9"}, {}]}, False),
        ({"PrefixListIds": [{"PrefixListId": "pl-1"}]}, True),
        ({"IpRanges": [{"CidrIp": "10.0.0.0/8"}]}, True),
        ({"IpRanges": [{"CidrIp": "10.0.1.0/25"}, {"CidrIp": "10.0.1.0/24"}]}, True),
        ({"IpRanges": [{"CidrIp": "10.0.1.0/25"}]}, False),
        ({"IpRanges": [{"CidrIp": "nonsense"}, {}]}, False),
        ({}, False),
    ],
)
def test_endpoint_is_open_for_the_group_or_all_subnets(source: dict[str, Any], passes: bool) -> None:
    assert (notes(closed("sg-2", port(443, 443, **source)), "sns") == []) is passes


def test_endpoint_is_not_closed_where_nothing_shows_it() -> None:
    unknown = endpoint("sns", Groups=[{"GroupId": "sg-8"}])
    for behind in (unknown, endpoint("sns", Groups=[]), endpoint("sns"), endpoint("sns", Groups=None)):
        assert notes(network(endpoints=[behind]), "sns") == []
    both = endpoint("sns", Groups=[{"GroupId": "sg-2"}, {"GroupId": "sg-8"}])
    assert notes(network(endpoints=[both], groups=[group("sg-2")]), "sns") == []


def test_group_without_rules_lets_nothing_out() -> None:
    for rules in ([], None):
        out = network(route_table(NAT), groups=[group("sg-1", IpPermissionsEgress=rules)])
        assert notes(out, "sns") == ["sg-1 let nothing out on port 443, which AWS is called on"]
    two = Vpc(VPC.subnets, ("sg-2", "sg-1"))
    closed_group = group("sg-2", IpPermissionsEgress=[])
    assert notes(network(route_table(NAT), groups=[closed_group]), "sns", two) == [], "one of both is enough"
    assert notes(network(route_table(NAT)), "sns", Vpc(VPC.subnets, ("sg-9",))) == [], "it is not known"


def test_services_under_other_names_have_their_endpoints() -> None:
    """https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html"""
    for prefix, name in {"firehose": "kinesis-firehose", "kinesis": "kinesis-streams", "sqs": "sqs"}.items():
        assert notes(network(endpoints=[endpoint(name)]), prefix) == []
    assert notes(network(endpoints=[endpoint("dynamodb", "Gateway")]), "dynamodb") == []
    assert notes(network(endpoints=[endpoint("sns", "Gateway")]), "sns") != []
    assert ways_out.services([{"Effect": "Allow", "Action": ["xray:Put", "kms:Decrypt", "rds-db:connect"]}]) == []


def test_way_by_ipv6_is_declared() -> None:
    found = network(route_table(EGRESS))
    assert "with `ipv6`" in notes(found, "sns")[-1]
    declared = Vpc(VPC.subnets, VPC.security_groups, ipv6=True)
    assert notes(found, "sns", declared) == []
    assert "with `ipv6`" not in notes(network(), "sns", declared)[-1]
    away = {**EGRESS, "State": "blackhole"}
    assert notes(network(route_table(away)), "sns", declared) != []


def test_nothing_is_charged_twice_or_without_a_way() -> None:
    other = {**NAT, "NatGatewayId": "nat-2"}
    one = network(route_table(NAT, subnets=("subnet-1a",)), route_table(other, name="rtb-2", subnets=("subnet-2b",)))
    assert ways_out.charged([one, network(route_table(NAT))]) == ways_out.Charged(2, 0)
    assert ways_out.charged([network(), network(route_table(INTERNET))]) == ways_out.Charged(0, 0)
    assert ways_out.charged([network(endpoints=[endpoint("sns", SubnetIds=None)])]) == ways_out.Charged(0, 1)
    assert ways_out.charged([]) == ways_out.Charged(0, 0)
