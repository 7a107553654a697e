"""Settings of a function that the declaration does not manage: network, dead-letter queue, tracing, disk, keys.

They are set by hand, on $LATEST, and are in effect once a version has them: versions are immutable. The digest of those
that were released is recorded with the release, so that the list of functions alone shows a difference.

https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lambda_toolkit.changes import Difference
from lambda_toolkit.resources.functions import declared_settings
from lambda_toolkit.resources.monitoring import logging_config
from lambda_toolkit.resources.planning.diff import differences, environment_differences
from lambda_toolkit.spec.model import FunctionSpec

_SETTINGS = (  # what UpdateFunctionConfiguration takes and the declaration does not have; `Layers` are always managed
    "AcceleratorConfig",
    "CapacityProviderConfig",
    "DeadLetterConfig",
    "DurableConfig",
    "EphemeralStorage",
    "FileSystemConfigs",
    "KMSKeyArn",
    "LoggingConfig",
    "RuntimeConfig",
    "SnapStart",
    "TracingConfig",
    "VpcConfig",
)
_DERIVED = ("OptimizationStatus", "VpcId")  # follow from the others, and differ between $LATEST and a version
_ENVIRONMENT, _DESCRIPTION = "Environment", "Description"


def unmanaged(configuration: Mapping[str, Any], spec: FunctionSpec) -> dict[str, Any]:
    """The settings in a function's or version's ``configuration`` that ``spec`` does not declare.

    In one form, whichever call returned them: without what is empty, a default, or derived from other settings.
    """
    found = {name: _plain(configuration.get(name)) for name in _SETTINGS}
    for name, managed in declared_settings.declared(spec).items():
        left = found[name] if isinstance(managed, Mapping) and found[name] else {}
        found[name] = {key: value for key, value in left.items() if key not in managed}
    if spec.environment is None:
        found[_ENVIRONMENT] = (configuration.get(_ENVIRONMENT) or {}).get("Variables")
    if spec.description is None:
        found[_DESCRIPTION] = configuration.get(_DESCRIPTION)
    defaults = _defaults(spec.name)
    kept = {name: _without(value, defaults.get(name, {})) for name, value in found.items()}
    return {name: value for name, value in kept.items() if value}


def is_readable(configuration: Mapping[str, Any]) -> bool:
    """Whether the environment variables could be read: they need a right of their own where a KMS key is set."""
    return "Error" not in (configuration.get(_ENVIRONMENT) or {})


def digest(settings: Mapping[str, Any]) -> str:
    """The digest of :func:`unmanaged` settings: sixteen hexadecimal characters."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def compare(released: Mapping[str, Any], latest: Mapping[str, Any], spec: FunctionSpec) -> tuple[Difference, ...]:
    """How the settings of $LATEST differ from the ``released`` ones, each environment variable on its own."""
    names = dict.fromkeys(sorted({*released, *latest} - {_ENVIRONMENT}))
    found = differences(released, {name: latest.get(name) for name in names})
    old, new = released.get(_ENVIRONMENT) or {}, latest.get(_ENVIRONMENT) or {}
    return (*found, *environment_differences(old, new, spec.secret_environment))


def _defaults(function: str) -> dict[str, dict[str, Any]]:
    """What Lambda has where nothing was set; some calls return it, others omit it."""
    return {
        **{name: dict(values) for name, values in declared_settings.DEFAULTS.items()},
        logging_config.LOGGING: logging_config.defaults(function),
    }


def _plain(value: Any) -> Any:
    """``value`` without what is empty or derived, with lists in an order of their own."""
    if isinstance(value, Mapping):
        plain = {key: _plain(item) for key, item in value.items() if key not in _DERIVED}
        return {key: item for key, item in plain.items() if item}
    if isinstance(value, list):
        return sorted((_plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def _without(value: Any, default: Mapping[str, Any]) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: item for key, item in value.items() if key not in default or default[key] != item}
