"""Which URLs may be those of a webhook. Also read by the commands, before one is stored."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def webhook_problem(url: str) -> str:
    """Why ``url`` cannot be that of a webhook, without showing it; empty where it can.

    https, or http to this machine: who sees the path of a webhook's URL may post to it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "it is not a URL"
    if parts.scheme not in ("https", "http") or not host:
        return "it does not begin with https:// and a host"
    if any(character.isspace() or not character.isprintable() for character in url) or not url.isascii():
        return "it has a character that no URL has"
    if parts.username is not None:
        return "it has a user before the host"
    if parts.scheme == "http" and not _is_loopback(host):
        return "it begins with http://, which is not encrypted; write https://"
    if port == 0:
        return "its port is 0"
    if len(parts.path) < len("/x"):
        return "it has no path, which is what makes it that of one channel"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
