"""The function ``access``, which the configuration of a pipeline in a private network has without declaring it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambda_toolkit.pipeline.installed import ACCESS
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import ANSWERS

ANSWERS_IN = "processed"  # the name in [buckets]
_SECRETS = ("warehouse", "source")
_NEVER_IMPORTED = "lambda_toolkit.pipeline.client"  # by the function: pipeline/__init__.py does so when it is asked to


def with_access(document: Mapping[str, Any]) -> dict[str, Any]:
    """``document``, pipeline.toml as it was read, with ``[functions.access]`` where it has ``[vpc]``, or that itself.

    What the document says of the function stays. Beside that, it may read the two databases' secrets, and write and
    remove answers below one prefix, and nothing else.
    """
    functions = document.get("functions", {})
    if not isinstance(functions, Mapping) or not (_has_network(document) or ACCESS in functions):
        return dict(document)
    declared = functions.get(ACCESS, {})
    if not isinstance(declared, Mapping):
        return dict(document)  # which is reported
    return {**document, "functions": {**functions, ACCESS: {**_defaults(document), **declared}}}


def _has_network(document: Mapping[str, Any]) -> bool:
    """Whether ``[vpc]`` names a network, and does not say that there is none."""
    declared = document.get("vpc")
    return isinstance(declared, Mapping) and bool(declared.get("subnets"))


def _defaults(document: Mapping[str, Any]) -> dict[str, Any]:
    buckets, secrets, packages = (document.get(name) for name in ("buckets", "secrets", "packages"))
    provided = packages.get("provided_modules") if isinstance(packages, Mapping) else None
    place = [f"{ANSWERS_IN}/{ANSWERS}"] if isinstance(buckets, Mapping) and ANSWERS_IN in buckets else []
    return {
        "memory": 1024,
        "timeout": 600,
        "secret": [name for name in _SECRETS if isinstance(secrets, Mapping) and name in secrets],
        "reads": place,
        "writes": place,
        "sweeps": place,
        "alarms": [],  # a query with a mistake is an error of the function, too
        "provided_modules": [*(provided if isinstance(provided, list) else ()), _NEVER_IMPORTED],
        "health_event": {"action": "check"},
    }
