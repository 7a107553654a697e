"""What the toolkit made, it knows by tag and by name. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from lambda_toolkit.errors import Advice, Hint, OwnershipError

OWNER_TAG = "managed-by"
OWNER = "lambda_script"
FUNCTION_TAG = "lambda-script:function"
APPLICATION_TAG, STAGE_TAG = "application", "stage"
SCOPE = (APPLICATION_TAG, STAGE_TAG)
_SHORTEST_PREFIX, _LONGEST_PREFIX = 4, 40
_ROLE_LENGTH = 64  # IAM's limit, and EventBridge's for rules


def desired_tags(tags: Mapping[str, str], function: str | None = None) -> dict[str, str]:
    """``tags`` with those that say whose it is. A tag that is declared empty is to go, and is not among them."""
    own = {OWNER_TAG: OWNER, **({FUNCTION_TAG: function} if function else {})}
    return {**{key: value for key, value in tags.items() if value}, **own}


def missing_tags(live: Mapping[str, str], desired: Mapping[str, str]) -> dict[str, str]:
    """The tags to set. Tags that others put there stay."""
    return {key: value for key, value in desired.items() if live.get(key) != value}


def unwanted_tags(live: Mapping[str, str], declared: Mapping[str, str]) -> tuple[str, ...]:
    """The tags to take away: those declared empty. Tags that are not declared are not managed."""
    return tuple(key for key, value in declared.items() if not value and key in live)


def is_owned(live: Mapping[str, str], function: str | None = None, declared: Mapping[str, str] | None = None) -> bool:
    """Whether the toolkit made it (for ``function``, where one is named).

    With ``declared`` tags, it must also be of their application and stage. A missing tag of the two is drift, to be
    repaired, and does not make it another application's.
    """
    if live.get(OWNER_TAG) != OWNER or (function is not None and live.get(FUNCTION_TAG) != function):
        return False
    return not other_scope(live, declared or {})


def other_scope(live: Mapping[str, str], declared: Mapping[str, str]) -> str:
    """The other application and stage that it belongs to, in words; empty where it names none, or those declared."""
    differs = any(key in live and key in declared and live[key] != declared[key] for key in SCOPE)
    return f"application `{live.get(APPLICATION_TAG)}`, stage `{live.get(STAGE_TAG)}`" if differs else ""


def require_owned(
    kind: str,
    name: str,
    live: Mapping[str, str],
    *,
    adopt: bool,
    function: str | None = None,
    declared: Mapping[str, str] | None = None,
) -> None:
    """Raise OwnershipError unless it is ours, of the application and stage of ``declared``, or may be adopted."""
    if adopt or is_owned(live, function, declared):
        return
    other = live.get(FUNCTION_TAG)
    scope = other_scope(live, declared or {})
    if is_owned(live) and scope:
        raise OwnershipError(
            f"The {kind} `{name}` belongs to {scope}. Give this one another name: put {{stage}} into it.",
            advice=Advice(Hint.ADOPT),
        )
    if is_owned(live) and other:
        raise OwnershipError(f"The {kind} `{name}` belongs to the function `{other}`. Give this one another name.")
    tags = f"{OWNER_TAG}={OWNER}" + (f" and {FUNCTION_TAG}={function}" if function else "")
    raise OwnershipError(
        f"A {kind} `{name}` exists already and is not managed by this toolkit, so it is left unchanged. Choose another "
        f"name, or tag that one {tags}.",
        advice=Advice(Hint.ADOPT),
    )


def as_mapping(tags: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    """AWS's list of ``Key`` and ``Value`` (or ``TagKey``...) as a mapping."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags or ()}


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """A mapping as AWS's list of ``Key`` and ``Value``."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def derived_name(function: str, suffix: str) -> str:
    """``<function>-<suffix>``, in the 64 characters that roles and rules may have.

    Where it must be shortened, a hash keeps it one name for each function.
    """
    name = f"{function}-{suffix}"
    if len(name) <= _ROLE_LENGTH:
        return name
    return f"{function[: _ROLE_LENGTH - len(suffix) - 10]}-{short_hash(function)}-{suffix}"


def listing_prefix(names: Sequence[str], name: str) -> str:
    """What to list by, to find what belongs to ``name``: with one list for all ``names``, where they begin alike.

    Short enough to be in the names that :func:`derived_name` shortens.
    """
    first, last = min(names), max(names)  # what these two share at their beginning, all between them share
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    common = first[: min(alike, _LONGEST_PREFIX)]
    return common if len(common) >= _SHORTEST_PREFIX else name[:_LONGEST_PREFIX]


def bounded(name: str, longest: int) -> str:
    """``name``, or its beginning with a hash of the whole: one name for each, in ``longest`` characters."""
    return name if len(name) <= longest else f"{name[: longest - 9].rstrip('-.')}-{short_hash(name)}"


def short_hash(text: str) -> str:
    """Eight characters that stand for ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
