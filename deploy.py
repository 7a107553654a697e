"""The command line of the pipeline in a checkout, on a developer's machine or in GitHub Actions.

``python deploy.py`` alone deploys everything. ``python deploy.py --help`` lists the rest.
"""

from __future__ import annotations

try:
    from lambda_toolkit.pipeline.command_line import COMMANDS, LOCAL_COMMANDS, main, run
except ModuleNotFoundError as error:
    if error.name != "click":
        raise
    raise SystemExit(
        "deploy.py needs this project's environment: run `make run`, which creates it, and `. .venv/bin/activate`. "
        "Or install it into your own, Python 3.11 or newer: pip install -e '.[local]'"
    ) from None

__all__ = ["COMMANDS", "LOCAL_COMMANDS", "main"]

if __name__ == "__main__":
    run()
