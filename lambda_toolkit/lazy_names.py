"""Public names of ``lambda_script`` whose modules take long to import: they are imported on first use.

The others need no more than the standard library's basics, so that ``deploy.py --help`` waits for no boto3.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

MODULES: Mapping[str, str] = {
    "HOURS_A_MONTH": "lambda_toolkit.spec.prices",
    "LIVE": "lambda_toolkit.resources.planning.alias",
    "PriceList": "lambda_toolkit.spec.prices",
    "Invocation": "lambda_toolkit.running.invocation",
    "LogEvent": "lambda_toolkit.running.log_events",
    "Rollback": "lambda_toolkit.deploy.rollback",
    "check_declared": "lambda_toolkit.resources.triggers.s3_notification",
    "deployer_policy": "lambda_toolkit.deploy",
    "lock_requirements": "lambda_toolkit.packaging.uv",
    "network_charges": "lambda_toolkit.resources.networks.network",
    "price_list": "lambda_toolkit.spec.prices",
}
"""Name -> the module that has it, or whose submodule it is."""
_SUBMODULES = frozenset({"deployer_policy"})


def imported(module: str, name: str) -> Any:
    """The object ``name``. Raises AttributeError, as of ``module``, where there is no such name."""
    if name not in MODULES:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    if name in _SUBMODULES:
        return importlib.import_module(f"{MODULES[name]}.{name}")
    return getattr(importlib.import_module(MODULES[name]), name)
