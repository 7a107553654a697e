"""Compare desired and live attributes in one form. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from lambda_toolkit.changes import Difference

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)?(_|$)|secret|token|credential|(api|private|access|signing|encryption)_?key|(^|_)(key|auth|pat)$",
    re.IGNORECASE,
)
_SECRET_VALUE = re.compile(
    r"://[^/\s:@]*:[^/\s@]+@"  # a URL with a password
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|\b(AKIA|ASIA)[A-Z0-9]{16}\b"  # an access key of AWS
    r"|\beyJ[\w-]{10,}\.[\w-]{10,}\."  # a JSON web token
    r"|\b(gh[pousr]_|github_pat_|xox[abpr]-|sk[-_]live[-_])\w{10,}"
)


def differing(live: Mapping[str, Any], desired: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of ``desired`` whose values differ in ``live``. Keys that ``desired`` lacks are not managed."""
    return tuple(key for key, value in desired.items() if live.get(key) != value)


def differences(
    live: Mapping[str, Any],
    desired: Mapping[str, Any],
    within: str = "",
    is_secret: Callable[[str, Any], bool] = lambda name, value: False,
) -> tuple[Difference, ...]:
    """One difference for each attribute of ``desired`` whose value differs in ``live``.

    An attribute that ``desired`` lacks is not managed. Of an attribute that is a mapping (dimensions, statements), each
    key is compared, and one that only ``live`` has is a difference too. ``within`` is put before the attributes' names,
    with a dot; values for which ``is_secret`` is true are masked.
    """
    found: list[Difference] = []
    for key, value in desired.items():
        name = f"{within}.{key}" if within else key
        known = live.get(key)
        if known == value:
            continue
        if isinstance(value, Mapping):
            of_live = known if isinstance(known, Mapping) else {}
            found += differences(of_live, {**dict.fromkeys(of_live), **value}, name, is_secret)
        else:
            found.append(Difference(name, known, value, secret=is_secret(key, known) or is_secret(key, value)))
    return tuple(found)


def environment_differences(
    live: Mapping[str, str], desired: Mapping[str, str], secret: Collection[str] = ()
) -> tuple[Difference, ...]:
    """One difference for each environment variable, masked where ``secret`` names it or it looks like a secret."""
    return differences(
        {"Environment": live},
        {"Environment": desired},
        is_secret=lambda name, value: name in secret or looks_secret(name, value),
    )


def tag_differences(live: Mapping[str, str], missing: Mapping[str, str]) -> tuple[Difference, ...]:
    """One difference for each tag to set. Tags are not secret: none is masked."""
    return tuple(Difference(f"tags.{key}", live.get(key), value) for key, value in sorted(missing.items()))


def looks_secret(name: str, value: Any) -> bool:
    """Whether a variable of that name, or with that value, looks like a secret and must be masked."""
    if value is None or value == "":
        return False
    return bool(_SECRET_NAME.search(name)) or (isinstance(value, str) and bool(_SECRET_VALUE.search(value)))
