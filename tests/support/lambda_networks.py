"""The networks of Lambda, which moto does not have, as AWS documents them: a fake with a state and a clock.

- Lambda makes one interface for each pair of a subnet and a set of groups, with the role of a function. All versions of
  all functions with that pair share it.
- It deletes one that no version uses 20 minutes later, with that role. Where the role does not exist, it never does.
- Attaching takes a while (``Pending``, ``InProgress``) and may fail, with a reason. The version that was published
  with a new function then stays ``Failed``.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from __future__ import annotations

import fnmatch
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import boto3

DELETED_AFTER = 20 * 60.0  # seconds
ATTACHED_AFTER = 90.0
_FILTERS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "subnet-id": lambda item: [item["SubnetId"]],
    "vpc-id": lambda item: [item["VpcId"]],
    "description": lambda item: [item["Description"]],
}


def subnet(name: str, vpc: str = "vpc-1", zone: str = "a", **different: Any) -> dict[str, Any]:
    block = {"Ipv6CidrBlock": "2001:db8::/64", "Ipv6CidrBlockState": {"State": "associated"}}
    return {
        "SubnetId": name,
        "VpcId": vpc,
        "AvailabilityZone": f"eu-west-2{zone}",
        "CidrBlock": "10.0.1.0/24",
        "AvailableIpAddressCount": 200,
        "Ipv6CidrBlockAssociationSet": [block] if different.pop("ipv6", False) else [],
        **different,
    }


def group(name: str, vpc: str = "vpc-1", **different: Any) -> dict[str, Any]:
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    return {"GroupId": name, "VpcId": vpc, "IpPermissions": [], "IpPermissionsEgress": everything, **different}


def route_table(*routes: dict[str, Any], name: str = "rtb-1", subnets: tuple[str, ...] = ()) -> dict[str, Any]:
    own = [{"SubnetId": subnet, "Main": False} for subnet in subnets]
    local = {"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}
    associations = own or [{"Main": True}]
    return {"RouteTableId": name, "VpcId": "vpc-1", "Routes": [local, *routes], "Associations": associations}


def endpoint(service: str, kind: str = "Interface", **different: Any) -> dict[str, Any]:
    rest = (
        {"RouteTableIds": ["rtb-1"]} if kind == "Gateway" else {"PrivateDnsEnabled": True, "SubnetIds": ["subnet-1a"]}
    )
    return {
        "VpcEndpointId": f"vpce-{service}",
        "VpcEndpointType": kind,
        "VpcId": "vpc-1",
        "ServiceName": f"com.amazonaws.eu-west-2.{service}",
        "State": "available",
        **rest,
        **different,
    }


@dataclass
class LambdaNetworks:
    """What EC2 describes. ``now`` is the clock, the clients of ``client`` show what moto has."""

    now: Callable[[], float]
    client: Callable[[str], Any]
    subnets: list[dict[str, Any]] = field(default_factory=lambda: [subnet("subnet-1a"), subnet("subnet-2b", zone="b")])
    groups: list[dict[str, Any]] = field(default_factory=lambda: [group("sg-1")])
    tables: list[dict[str, Any]] = field(default_factory=lambda: [route_table()])
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""
    """Why Lambda cannot attach functions; empty: it can."""
    _interfaces: dict[tuple[str, frozenset[str]], dict[str, Any]] = field(default_factory=dict)
    _unused_since: dict[tuple[str, frozenset[str]], float] = field(default_factory=dict)
    _attaching: dict[str, tuple[float, str, str]] = field(default_factory=dict)
    _failed: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def register(self, session: boto3.Session) -> None:
        session.events.register("before-call.ec2.*", self._describe)
        session.events.register("after-call.lambda.*", self._after)

    def reset(self) -> None:
        """Forget what Lambda made, as in a new account."""
        for made in (self._interfaces, self._unused_since, self._attaching, self._failed):
            made.clear()

    @property
    def interfaces(self) -> list[dict[str, Any]]:
        """Those that exist now."""
        with self._lock:
            self._look()
            return list(self._interfaces.values())

    def _describe(self, model: Any, params: Any, **_: Any) -> Any:
        body = params["body"]
        found = {
            "DescribeSubnets": ("Subnets", self.subnets),
            "DescribeSecurityGroups": ("SecurityGroups", self.groups),
            "DescribeRouteTables": ("RouteTables", self.tables),
            "DescribeVpcEndpoints": ("VpcEndpoints", self.endpoints),
        }
        key, items = found.get(model.name) or ("NetworkInterfaces", self.interfaces)
        name = body["Filter.1.Name"]
        values = [value for key_, value in body.items() if key_.startswith("Filter.1.Value.")]
        matching = [
            item
            for item in items
            if any(fnmatch.fnmatchcase(own, value) for own in _FILTERS[name](item) for value in values)
        ]
        return _Answered(), {key: matching, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def _after(self, model: Any, parsed: Any, **_: Any) -> None:
        """Functions that are attached are ready later, or never."""
        if model.name in ("CreateFunction", "UpdateFunctionConfiguration") and "FunctionName" in parsed:
            name, config = parsed["FunctionName"], parsed.get("VpcConfig") or {}
            if config.get("SubnetIds") and model.name == "CreateFunction":
                self._attaching[name] = (self.now(), "State", self.failure)
                self._failed |= {(name, parsed["Version"]): self.failure} if self.failure else {}
            elif config.get("SubnetIds"):
                self._attaching[name] = (self.now(), "LastUpdateStatus", self.failure)
            else:
                self._attaching.pop(name, None)
            with self._lock:
                self._look()
        answer = parsed.get("Configuration") if model.name == "GetFunction" else None
        if answer and answer.get("FunctionName") in self._attaching:
            started, status, failure = self._attaching[answer["FunctionName"]]
            is_pending = self.now() - started < ATTACHED_AFTER
            pending, ended = ("Pending", "Active") if status == "State" else ("InProgress", "Successful")
            answer[status] = pending if is_pending else "Failed" if failure else ended
            if failure and not is_pending:
                answer[f"{status}Reason"] = failure
        reason = self._failed.get((answer["FunctionName"], answer["Version"])) if answer else None
        if answer and reason and answer["State"] != "Pending":
            answer.update(State="Failed", StateReason=reason)

    def _look(self) -> None:
        """Make the interfaces that are needed, and delete those that were not for 20 minutes, with their role."""
        listed = self.client("lambda").list_functions(FunctionVersion="ALL")["Functions"]
        needed: dict[tuple[str, frozenset[str]], dict[str, Any]] = {}
        for item in listed:
            config = item.get("VpcConfig") or {}
            for subnet_ in config.get("SubnetIds") or ():
                needed[subnet_, frozenset(config["SecurityGroupIds"])] = item
        for pair, function in needed.items():
            self._unused_since.pop(pair, None)
            if pair not in self._interfaces:
                self._interfaces[pair] = {
                    "NetworkInterfaceId": f"eni-{len(self._interfaces) + 1}",
                    "Description": f"AWS Lambda VPC ENI-{function['FunctionName']}-{uuid.uuid4()}",
                    "SubnetId": pair[0],
                    "Groups": [{"GroupId": name} for name in sorted(pair[1])],
                    "role": function["Role"].rpartition("/")[2],
                }
        for pair, interface in list(self._interfaces.items()):
            if pair in needed:
                continue
            since = self._unused_since.setdefault(pair, self.now())
            if self.now() - since >= DELETED_AFTER and self._may_delete(interface["role"]):
                del self._interfaces[pair], self._unused_since[pair]

    def _may_delete(self, role: str) -> bool:
        iam = self.client("iam")
        try:
            stored = iam.get_role_policy(RoleName=role, PolicyName="lambda_script")["PolicyDocument"]
        except iam.exceptions.NoSuchEntityException:
            return False
        return any("ec2:DeleteNetworkInterface" in item["Action"] for item in stored["Statement"])


class _Answered:
    """The HTTP response of a call that the fake answers."""

    status_code = 200
