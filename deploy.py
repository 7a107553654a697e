"""The command line of the pipeline, run from a checkout or from GitHub Actions: ``lambda-script`` under its own name.

``python deploy.py`` alone deploys everything. ``python deploy.py --help`` lists the rest.
"""

from __future__ import annotations

try:
    from lambda_toolkit.pipeline.command_line import COMMANDS, LOCAL_COMMANDS, main, run
except ModuleNotFoundError as error:
    if error.name != "click":
        raise
    raise SystemExit(
        "deploy.py needs this project's environment: run `make run` once, which makes it, and `. .venv/bin/activate`. "
        "Or install it into your own, Python 3.11 or newer: pip install -e '.[local]'"
    ) from None

__all__ = ["COMMANDS", "LOCAL_COMMANDS", "main"]

if __name__ == "__main__":
    run()
