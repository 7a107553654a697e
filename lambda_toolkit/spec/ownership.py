"""Ownership: which resources on AWS the toolkit manages, by their tags, and the names it gives them. Pure."""

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
_LONGEST_NAME = 64  # characters: IAM's limit for roles, EventBridge's for rules


def desired_tags(tags: Mapping[str, str], function: str | None = None) -> dict[str, str]:
    """``tags`` with the toolkit's own. Tags declared empty are not in it, as they are removed."""
    own = {OWNER_TAG: OWNER, **({FUNCTION_TAG: function} if function else {})}
    return {**{key: value for key, value in tags.items() if value}, **own}


def missing_tags(live: Mapping[str, str], desired: Mapping[str, str]) -> dict[str, str]:
    """The tags to set. Undeclared tags stay."""
    return {key: value for key, value in desired.items() if live.get(key) != value}


def unwanted_tags(live: Mapping[str, str], declared: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of the tags to remove: those declared empty. Undeclared tags are not managed."""
    return tuple(key for key, value in declared.items() if not value and key in live)


def is_owned(live: Mapping[str, str], function: str | None = None, declared: Mapping[str, str] | None = None) -> bool:
    """Whether a resource with the tags ``live`` is managed by the toolkit, for ``function`` where one is given.

    With ``declared`` tags, it must also be of their application and stage. A missing tag of the two is drift, which is
    repaired; it does not make the resource another application's.
    """
    if live.get(OWNER_TAG) != OWNER or (function is not None and live.get(FUNCTION_TAG) != function):
        return False
    return not other_scope(live, declared or {})


def other_scope(live: Mapping[str, str], declared: Mapping[str, str]) -> str:
    """The application and stage in the tags, in words, where they differ from the declared ones; else empty."""
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
    """Raise OwnershipError unless the toolkit manages the resource, or ``adopt`` allows it to from now on.

    ``live`` are its tags; ``function`` and ``declared`` are as for :func:`is_owned`.
    """
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
    """Tags from AWS's form, a list of ``Key`` and ``Value``, as a mapping."""
    return {str(tag["Key"]): str(tag["Value"]) for tag in tags or ()}


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in AWS's form, a list of ``Key`` and ``Value``, sorted by key."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def derived_name(function: str, suffix: str) -> str:
    """``<function>-<suffix>``, in at most 64 characters. A shortened name ends in a hash, so that it stays unique."""
    name = f"{function}-{suffix}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{function[: _LONGEST_NAME - len(suffix) - 10]}-{short_hash(function)}-{suffix}"


def listing_prefix(names: Sequence[str], name: str) -> str:
    """The prefix to list resources of ``name`` by: the one that all ``names`` share, where it is long enough.

    With a shared prefix, one list call serves all functions. It is short enough to survive :func:`derived_name`.
    """
    first, last = min(names), max(names)  # the common prefix of these two is that of all
    common_length = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
    common = first[: min(common_length, _LONGEST_PREFIX)]
    return common if len(common) >= _SHORTEST_PREFIX else name[:_LONGEST_PREFIX]


def bounded(name: str, longest: int) -> str:
    """``name`` in at most ``longest`` characters. A shortened name ends in a hash, so that it stays unique."""
    return name if len(name) <= longest else f"{name[: longest - 9].rstrip('-.')}-{short_hash(name)}"


def short_hash(text: str) -> str:
    """The first eight hexadecimal digits of the SHA-256 of ``text``."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
