"""The command line of the pipeline in a checkout, on a developer's machine or in GitHub Actions.

``python deploy.py`` alone deploys everything. ``python deploy.py --help`` lists the rest.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - before an import that an older Python fails at
    raise SystemExit("deploy.py needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make run")

try:
    from lambda_toolkit.pipeline.command_line import COMMANDS, LOCAL_COMMANDS, main
except ModuleNotFoundError as error:
    from lambda_toolkit.pipeline.installed import what_to_install

    raise SystemExit(what_to_install(error)) from None

__all__ = ["COMMANDS", "LOCAL_COMMANDS", "main"]

if __name__ == "__main__":
    from lambda_toolkit.pipeline.__main__ import main as entry

    entry()
