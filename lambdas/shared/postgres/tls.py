"""TLS to PostgreSQL: what each ``sslmode`` tries, and which authorities verify the server, as libpq defines it.

https://www.postgresql.org/docs/current/libpq-ssl.html. Where neither is given, this is stricter than libpq: another
machine must offer TLS, and a server of Amazon RDS is verified.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import PipelineError

SSLMODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
PLAIN_TEXT = SSLMODES[:3]
"""The modes in which passwords and rows may cross the network unencrypted."""
SYSTEM = "system"
"""As ``sslrootcert``: the authorities that the operating system trusts."""
PEM = "-----BEGIN CERTIFICATE-----"
AMAZON_ROOTS = Path(__file__).with_name("amazon-roots.pem")
_REGION = re.compile(r"^# Amazon RDS (\S+) Root CA", re.MULTILINE)  # the title of an authority in AMAZON_ROOTS
_RDS = re.compile(r"[^.]+\.(?P<of>[^.]+)\.(?P<region>[a-z0-9-]+)\.rds\.amazonaws\.com\.?", re.IGNORECASE)


class TlsError(PipelineError):
    """``sslmode`` and ``sslrootcert`` contradict each other, or cannot be used. The message is a clause."""


@dataclass(frozen=True)
class Tls:
    """How a connection is encrypted."""

    mode: str
    roots: str | None = field(default=None, repr=False)
    """The authorities that verify the server: PEM, or ``system``; ``None``: the server is not verified."""

    def attempts(self) -> Iterator[ssl.SSLContext | Literal[False]]:
        """What is tried, in this order: a context for TLS, or ``False`` for plain text. Raises TlsError.

        The second is tried where the first fails because of TLS, or where pg_hba.conf demands the other.
        """
        if self.mode in ("disable", "allow"):
            yield False
        if self.mode != "disable":
            yield _context(self.roots, check_name=self.mode == "verify-full")
        if self.mode == "prefer":
            yield False


def tls_of(host: str, sslmode: str | None, sslrootcert: str | None) -> Tls:
    """The TLS of a connection to ``host``. ``sslrootcert``: PEM or ``system``; ``None`` for what is not given.

    Raises TlsError where the two contradict each other.
    """
    if sslmode is not None and sslmode not in SSLMODES:
        raise TlsError(f"sslmode={sslmode} is not one of {', '.join(SSLMODES)}")
    if host.startswith("/"):
        return Tls("disable")  # libpq: not used with Unix-domain sockets
    if sslrootcert == SYSTEM and sslmode not in (None, "verify-full"):
        raise TlsError(
            f"sslrootcert=system verifies the name of the server, too: use sslmode=verify-full, not {sslmode}"
        )
    if sslmode is None:
        return _by_default(host, sslrootcert)
    if sslmode.startswith("verify-"):
        roots = sslrootcert or amazon_roots(host)
        if roots is None:
            raise TlsError(
                f"sslmode={sslmode} needs the authority that signed the server's certificate: add sslrootcert=, a PEM "
                "file, or sslrootcert=system for those that the operating system trusts"
            )
        return Tls(sslmode, roots)
    if sslmode == "require" and sslrootcert:
        return Tls("verify-ca", sslrootcert)  # as libpq: where there is a file of authorities, they verify
    return Tls(sslmode, sslrootcert if sslmode != "disable" else None)


def _by_default(host: str, sslrootcert: str | None) -> Tls:
    if sslrootcert:
        return Tls("verify-full", sslrootcert)
    if is_loopback(host):
        return Tls("prefer")
    roots = amazon_roots(host)
    return Tls("verify-full", roots) if roots else Tls("require")


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by a name or address that leads nowhere else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def amazon_roots(host: str) -> str | None:
    """The authorities of an Amazon RDS server or proxy, in PEM; ``None`` for other hosts and for unknown regions."""
    name = _RDS.fullmatch(host)
    if name is None or not (name["region"].lower() in regions() or name["of"].lower().startswith("proxy-")):
        return None
    return _amazon_pem()


def rds_region(host: str) -> str | None:
    """The region of an Amazon RDS server or proxy; None for another host."""
    name = _RDS.fullmatch(host)
    return name["region"].lower() if name else None


@functools.cache
def regions() -> frozenset[str]:
    """The regions of Amazon RDS whose authorities are in AMAZON_ROOTS. Those of its proxies are the same everywhere."""
    return frozenset(_REGION.findall(_amazon_pem()))


def is_unknown_region(host: str) -> bool:
    """Whether ``host`` is a server of Amazon RDS in a region whose authorities are not in AMAZON_ROOTS."""
    return ".rds.amazonaws." in host.lower() and amazon_roots(host) is None


@functools.cache
def _amazon_pem() -> str:
    return AMAZON_ROOTS.read_text(encoding="ascii")


@functools.lru_cache(maxsize=4)  # reading the certificates takes a hundredth of a second
def _context(roots: str | None, *, check_name: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # libpq's minimum
    context.check_hostname = check_name
    if roots is None:
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        if roots == SYSTEM:
            context.load_default_certs()
        else:
            context.load_verify_locations(cadata=roots)
    except (ssl.SSLError, ValueError, TypeError) as error:
        raise TlsError(f"`sslrootcert` is not a certificate in PEM ({error})") from error
    return context
