"""The folder where built layers and downloaded interpreters are cached on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """``LAMBDA_SCRIPT_CACHE``, or ``lambda_script`` in the user's cache folder (``XDG_CACHE_HOME``, ``~/.cache``)."""
    if environ.get("LAMBDA_SCRIPT_CACHE"):
        return Path(environ["LAMBDA_SCRIPT_CACHE"])
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lambda_script"
