"""The declaration of a function's network, its forms, and what Lambda would reject of it. Pure.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from lambda_toolkit.errors import LimitError

_SUBNET, _GROUP = re.compile(r"subnet-[0-9a-z]+"), re.compile(r"sg-[0-9a-zA-Z]+")
_SUBNETS, _GROUPS = 16, 5  # the most of a function
DUAL_STACK = "AWS_USE_DUALSTACK_ENDPOINT"
"""The environment variable by which AWS's SDKs use endpoints that have IPv6 addresses too.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-endpoints.html"""


class WithVariables(Protocol):
    """A function, of which its network adds a variable."""

    @property
    def environment(self) -> Mapping[str, str] | None:
        """Its environment variables."""


@dataclass(frozen=True)
class Vpc:
    """The private network that a function is attached to. One without subnets and groups: none, so it is detached."""

    subnets: tuple[str, ...] = ()
    """The ids of the subnets, all in one VPC."""
    security_groups: tuple[str, ...] = ()
    """The ids of the security groups, in the same VPC."""
    ipv6: bool = False
    """Whether it may use IPv6, too: each subnet needs an IPv6 block. AWS is then called at its dual-stack endpoints."""

    @classmethod
    def of(cls, value: Vpc | Mapping[str, Any]) -> Vpc:
        """``value`` itself, or the network with the fields of a mapping. Raises TypeError for other values."""
        if isinstance(value, Vpc):
            return value
        given: dict[str, Any] = {name: tuple(item) if isinstance(item, list) else item for name, item in value.items()}
        return cls(**given)

    @property
    def is_attached(self) -> bool:
        """Whether it is a network, and not the declaration that there is none."""
        return bool(self.subnets or self.security_groups)

    def as_config(self) -> dict[str, Any]:
        """Lambda's VpcConfig, with the ids in an order of their own."""
        return {
            "SubnetIds": sorted(set(self.subnets)),
            "SecurityGroupIds": sorted(set(self.security_groups)),
            "Ipv6AllowedForDualStack": self.ipv6,
        }


def endpoint_variables(vpc: Vpc | None) -> dict[str, str]:
    """The environment variables that a function in ``vpc`` needs to reach AWS."""
    return {DUAL_STACK: "true"} if vpc is not None and vpc.ipv6 else {}


def read(value: Any) -> Vpc | None:
    """The network that ``value`` declares; ``None`` where it is. Raises LimitError."""
    if value is None:
        return None
    if isinstance(value, Vpc | Mapping):
        try:
            vpc = Vpc.of(value)
        except TypeError:
            pass
        else:
            if _are_ids(vpc.subnets) and _are_ids(vpc.security_groups) and isinstance(vpc.ipv6, bool):
                return vpc
    raise LimitError(
        "vpc takes lists of `subnets` and `security_groups`, and `ipv6`, which is True or False, such as "
        f'{{"subnets": ["subnet-1a2b"], "security_groups": ["sg-3c4d"]}}, or {{}} to detach it; not {value!r}.'
    )


def problems(vpc: Vpc, function: WithVariables) -> Iterator[str]:
    """What Lambda would reject of ``vpc`` for ``function``: a sentence each."""
    if bool(vpc.subnets) != bool(vpc.security_groups):
        lacking, given = ("security_groups", "subnets") if vpc.subnets else ("subnets", "security_groups")
        yield f"vpc has `{given}` and no `{lacking}`: Lambda needs both, and none of them, {{}}, detaches the function."
    yield from _id_problems("subnets", vpc.subnets, _SUBNET, _SUBNETS, "subnet-0123456789abcdef0")
    yield from _id_problems("security_groups", vpc.security_groups, _GROUP, _GROUPS, "sg-0123456789abcdef0")
    if vpc.ipv6 and not vpc.is_attached:
        yield "vpc has `ipv6` and no subnets."
    elif vpc.ipv6 and function.environment is None:
        yield f"vpc with `ipv6` sets the variable {DUAL_STACK}: declare `environment`, {{}} if there is no other."


def _are_ids(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _id_problems(what: str, ids: Collection[str], form: re.Pattern[str], most: int, example: str) -> Iterator[str]:
    if len(set(ids)) > most:
        yield f"vpc has {len(set(ids))} {what}; the limit is {most}."
    for wrong in sorted({item for item in ids if not form.fullmatch(item)}):
        yield f"vpc: `{wrong}` in {what} is no id, such as {example}."
