"""Which AWS operation an HTTP request is, derived from the request alone: the same for every tool that sends one."""

from __future__ import annotations

import functools
import gzip
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, parse_qsl

import botocore.loaders

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]*/([^/]+)/aws4_request")
_VERSIONED = re.compile(r"20\d\d-?\d\d-?\d\d(v\d)?$")  # UpdateFunctionCode20150331v2
_READS = ("Get", "List", "Describe", "Head", "Lookup", "Search", "Test", "Validate", "Filter", "Assume", "Decode")
_REST = ("lambda", "s3", "apigateway", "scheduler", "xray")  # identified by method and path, as botocore's models say


@dataclass(frozen=True)
class Operation:
    """``service`` as requests are signed for it, ``name`` as AWS documents it: ``lambda``, ``UpdateFunctionCode``."""

    service: str
    name: str

    def __str__(self) -> str:
        """As IAM would write it."""
        return f"{self.service}:{self.name}"

    @property
    def is_write(self) -> bool:
        """Whether it may change what is in the account. Starting a function changes nothing that is deployed."""
        return not self.name.startswith((*_READS, "Invoke"))


@dataclass(frozen=True)
class _Route:
    """One operation of a REST service: what its address and its headers must hold."""

    name: str
    path: re.Pattern[str]
    queries: frozenset[str]
    headers: frozenset[str]

    @property
    def demands(self) -> tuple[int, int]:
        """How specific it is: less for one that asks for more."""
        return -len(self.queries) - len(self.headers), self.path.pattern.count("[^/]+")


def operation_of(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Operation:
    """The operation of one request. ``headers`` by lower-case name; ``target`` is path and query."""
    scope = _SCOPE.search(headers.get("authorization", ""))
    service = scope[1] if scope else "unsigned"
    named = headers.get("x-amz-target")
    if named:
        return Operation(service, named.rpartition(".")[2])
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        content = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        action = parse_qs(content.decode("utf-8", "replace")).get("Action")
        if action:
            return Operation(service, action[0])
    if "smithy-protocol" in headers:  # /service/<name>/operation/<name>
        return Operation(service, target.rpartition("/")[2])
    return Operation(service, _rest_name(service, method, target, frozenset(headers)))


def _rest_name(service: str, method: str, target: str, headers: frozenset[str]) -> str:
    path, _, query = target.partition("?")
    queries = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
    if service in _REST:
        for route in _routes(service, method):
            if route.queries <= queries and route.headers <= headers and route.path.fullmatch(path):
                return route.name
    return f"{'Get' if method in ('GET', 'HEAD') else method.capitalize()} {path}"


@functools.cache
def _routes(service: str, method: str) -> Sequence[_Route]:
    """The operations of a service under one HTTP method, the most specific first."""
    model = botocore.loaders.Loader().load_service_model(service, "service-2")
    routes = []
    for name, operation in model["operations"].items():
        http = operation["http"]
        if http["method"] == method and not operation.get("deprecated"):
            path, _, query = http["requestUri"].partition("?")
            queries = frozenset(key for key, _ in parse_qsl(query, keep_blank_values=True))
            shape = model["shapes"].get(operation.get("input", {}).get("shape"), {})
            members = (shape["members"][member] for member in shape.get("required", ()))
            required = frozenset(item["locationName"].lower() for item in members if item.get("location") == "header")
            routes.append(_Route(_VERSIONED.sub("", name), _pattern(path), queries, required))
    return sorted(routes, key=lambda route: route.demands)


def _pattern(path: str) -> re.Pattern[str]:
    """A path of a model as a pattern: ``{Key+}`` takes slashes, ``{Bucket}`` does not."""
    parts = re.split(r"(\{[^}]+\})", path)
    known = (".+" if part.endswith("+}") else "[^/]+" if part.startswith("{") else re.escape(part) for part in parts)
    return re.compile("".join(known) + "/?")
