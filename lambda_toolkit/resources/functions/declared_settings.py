"""Settings of a function that a declaration may manage: log, network, temporary storage, tracing, key, snapshots.

In Lambda's words, as UpdateFunctionConfiguration takes them. What is not declared of them stays: see ``settings``.
https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lambda_toolkit.resources.monitoring import logging_config
from lambda_toolkit.resources.monitoring.logging_config import LOGGING
from lambda_toolkit.spec.model import DEFAULT_STORAGE, PASS_THROUGH, FunctionSpec
from lambda_toolkit.spec.network import Vpc

_KEY = "KMSKeyArn"
VPC = "VpcConfig"
_SNAPSHOTS = {True: "PublishedVersions", False: "None"}
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "EphemeralStorage": {"Size": DEFAULT_STORAGE},
    "SnapStart": {"ApplyOn": _SNAPSHOTS[False]},
    "TracingConfig": {"Mode": PASS_THROUGH},
    VPC: Vpc().as_config(),
}
"""What Lambda has where nothing was set; some calls return it, others omit it."""


def declared(spec: FunctionSpec) -> dict[str, Any]:
    """What ``spec`` declares of them; an empty value declares Lambda's default."""
    storage, snapshots = spec.ephemeral_storage, spec.snapstart
    found = {
        LOGGING: logging_config.declared(spec) or None,
        "EphemeralStorage": None if storage is None else {"Size": storage or DEFAULT_STORAGE},
        "SnapStart": None if snapshots is None else {"ApplyOn": _SNAPSHOTS[snapshots]},
        "TracingConfig": None if spec.tracing is None else {"Mode": spec.tracing or PASS_THROUGH},
        _KEY: spec.kms_key,
        VPC: None if spec.vpc is None else spec.vpc.as_config(),
    }
    return {name: value for name, value in found.items() if value is not None}


def live(configuration: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a function's ``configuration`` has of those in ``wanted``, in the same form."""
    found: dict[str, Any] = {}
    if LOGGING in wanted:
        found[LOGGING] = logging_config.live(configuration, wanted[LOGGING])
    for name in DEFAULTS.keys() & wanted.keys():
        known = {**DEFAULTS[name], **(configuration.get(name) or {})}
        found[name] = {key: _in_order(known[key]) for key in wanted[name]}
    if _KEY in wanted:
        found[_KEY] = configuration.get(_KEY) or ""
    return found


def _in_order(value: Any) -> Any:
    """Ids in the order in which they are declared: Lambda returns them in any."""
    return sorted(value) if isinstance(value, list) else value


def complete(parameters: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    """``parameters`` of a call, with what Lambda takes as a whole completed by what ``configuration`` has."""
    if LOGGING not in parameters:
        return dict(parameters)
    return {**parameters, LOGGING: logging_config.complete(parameters[LOGGING], configuration)}
