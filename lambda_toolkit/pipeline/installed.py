"""The installed package: the name of its command in messages, and the files shipped with it."""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE_ROOT = Path(__file__).parent
FUNCTIONS = PACKAGE_ROOT / "lambdas"  # the functions' source; in a checkout a symbolic link to the folder of that name
SHARED = FUNCTIONS / "shared"  # part of the package of every function
STARTER = PACKAGE_ROOT / "config" / "starter"  # the templates that `init` fills in
_COMMAND = "lambda-script"  # the console script in setup.py


def program() -> str:
    """What to type before the name of a command: ``lambda-script`` where that is running, else ``python deploy.py``."""
    return _COMMAND if Path(sys.argv[0]).stem == _COMMAND else "python deploy.py"


def shipped_functions() -> tuple[str, ...]:
    """The names of the functions whose source is shipped, sorted."""
    return tuple(sorted(folder.name for folder in FUNCTIONS.iterdir() if (folder / "handler.py").is_file()))
