"""Whether the databases of functions that use IPv6 have IPv6 addresses. Asks the resolver of this machine alone."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping

from lambda_toolkit.pipeline.config.database_url import credentials
from lambda_toolkit.pipeline.config.model import WEBHOOK, Pipeline, SecretDeclaration

Resolve = Callable[[str], list[str]]
"""From the name of a host to its addresses; none where it has none that is known here."""


def addresses(host: str) -> list[str]:
    """The addresses of ``host``, as the resolver of this machine knows them."""
    try:
        return [str(item[4][0]) for item in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def address_notes(pipeline: Pipeline, environ: Mapping[str, str], resolve: Resolve = addresses) -> Iterator[str]:
    """What is to be said about the databases of functions with ``ipv6``: a sentence each, without the period.

    A server without an AAAA record is reached over IPv4, for which the ways out differ.
    """
    names = {
        name
        for function in pipeline.functions.values()
        if function.spec.vpc is not None and function.spec.vpc.ipv6
        for name in function.secrets
    }
    for name in sorted(names):
        secret = pipeline.secrets[name]
        if secret.kind == WEBHOOK:
            continue
        host = _host(secret, environ)
        if host is None:
            yield f"the host of the secret {name} is not known here, so its AAAA record was not looked up"
            continue
        found = resolve(host)
        if not found:
            yield f"{host}, the host of the secret {name}, has no address here, so its AAAA record was not looked up"
        elif not any(":" in address for address in found):
            yield f"{host}, the host of the secret {name}, has no AAAA record: functions reach it over IPv4 alone"


def _host(secret: SecretDeclaration, environ: Mapping[str, str]) -> str | None:
    if secret.read:
        return secret.read.host
    url = environ.get(secret.environment)
    return str(credentials(url, secret.environment)["host"]) if url else None
