"""The installed package: the name of its command in messages, and the files shipped with it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

VERSION = "0.1.0"  # as in setup.py
PACKAGE_ROOT = Path(__file__).parent
FUNCTIONS = PACKAGE_ROOT / "lambdas"  # the functions' source; in a checkout a symbolic link to the folder of that name
SHARED = FUNCTIONS / "shared"  # part of the package of every function
_SHARED_BY = {"notifier": ("__init__.py", "logs.py", "metrics.py")}  # of functions that need few of its modules
ACCESS = "access"  # the function by which commands reach databases in a private network, in the folder of that name
STARTER = PACKAGE_ROOT / "config" / "starter"  # the templates that `init` fills in
CHECKOUT = PACKAGE_ROOT.parents[1]  # the repository, where this runs in one
DEFAULT_PATH = Path("config/pipeline.toml")  # the declaration of a pipeline, in the folder of its project
COMMAND = "lambda-script"  # the console script in setup.py
GIVEN_URL = "LAMBDA_SCRIPT_GIVEN_URL"  # in place of a URL among the arguments: the variable that has it
_TAKE_URLS = ("--from", "--source-url")  # the options that take a URL, or such a name
_WITH_PASSWORD = re.compile(r"\s*postgres(?:ql)?://.*(?::[^@/]*@|[?&]password=).*", re.DOTALL)
_OWN = ("lambda_toolkit", "lambda_script")
_OF_ICEBERG = ("pyiceberg", "sqlalchemy")
_OF_DASHBOARD = ("anyio", "jinja2", "markupsafe", "pygal", "starlette", "uvicorn")
_given: ContextVar[tuple[str, ...]] = ContextVar("options of the running command", default=())


def program() -> str:
    """What was typed before the name of a command, for a shell: ``lambda-script``, ``python deploy.py``, or its path.

    A path only where the shell would not find the same program by its name. In another program, such as a test: what
    one would type.
    """
    script = Path(sys.argv[0])
    if script.name == COMMAND:
        return _typed(sys.argv[0])
    if script.name == "deploy.py":
        return f"{_typed(sys.orig_argv[0])} {shlex.quote(sys.argv[0])}"
    if script == PACKAGE_ROOT / "__main__.py":
        return f"{_typed(sys.orig_argv[0])} -m {__package__}"
    return "python deploy.py" if (CHECKOUT / "deploy.py").is_file() else COMMAND


def _typed(path: str) -> str:
    from shutil import which  # imported on use: most commands suggest none

    found = which(Path(path).name)
    return Path(path).name if found and Path(found).absolute() == Path(path).absolute() else shlex.quote(path)


def first_steps(config: Path) -> str:
    """The command that tries the pipeline without an AWS account, for the project whose declaration is ``config``."""
    if not config.is_file():
        return f"{program()} init, then: {program()} local up"
    return suggested("local run" if (config.parent / "totesys.sql").is_file() else "local up")


def hide_urls() -> None:
    """Start this process again without the passwords of URLs in its arguments, which all users of a machine can list.

    Options that take a URL take the name of a variable, too: :data:`GIVEN_URL` and a number. Does nothing where no
    argument is a URL with a password.
    """
    hidden = dict(os.environ)
    arguments = sys.argv[1:]
    for number, (before, argument) in enumerate(zip(sys.argv, sys.argv[1:], strict=False)):
        option, is_option, value = argument.partition("=")
        given = value if is_option and option in _TAKE_URLS else argument if before in _TAKE_URLS else ""
        if _WITH_PASSWORD.fullmatch(given):
            variable = f"{GIVEN_URL}_{number}"
            hidden[variable] = given
            arguments[number] = argument.removesuffix(given) + variable
    if arguments != sys.argv[1:]:
        interpreter = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
        os.execve(sys.executable, [*interpreter, *arguments], hidden)  # noqa: S606  # nosec B606  # this very program


@contextmanager
def repeated_options(*options: str) -> Iterator[None]:
    """Have :func:`suggested` repeat these ``options``, quoted for a shell, meanwhile."""
    token = _given.set(options)
    try:
        yield
    finally:
        _given.reset(token)


def suggested(command: str = "") -> str:
    """What to type for ``command``, without a word for deploy: with the options that the running command was given.

    The local stack is one for all stages: its commands get no stage.
    """
    given = [option for option in _given.get() if not (command.startswith("local ") and option.startswith("--stage "))]
    return " ".join(filter(None, (program(), command, *given)))


def what_to_install(error: ModuleNotFoundError) -> str:
    """The sentence about the package that is missing, and how to get it. Raises ``error`` where it is a defect of ours.

    Needs nothing but Python's own library: this runs where nothing is installed.
    """
    module = (error.name or "").partition(".")[0]
    if not module or module in _OWN or module in sys.stdlib_module_names:
        raise error
    missing = f"The package {module.replace('_', '-')} is not installed for {sys.executable}."
    extras, needs = ("local,dashboard", "dashboard needs") if module in _OF_DASHBOARD else ("local", "commands need")
    if module in _OF_ICEBERG:
        extras, needs = "iceberg", "command needs"
    if Path(sys.argv[0]).name == COMMAND or not (CHECKOUT / "setup.py").is_file():
        return f"{missing} Install what the {needs}: pip install 'lambda-script[{extras}]'"
    environment = CHECKOUT / ".venv"
    if Path(sys.prefix).resolve() == environment.resolve():
        return f"{missing} Install this project's environment once more: `rm -r .venv`, then `make run`"
    if (environment / ".ready").is_file():
        return f"{missing} Use this project's environment: . {environment / 'bin' / 'activate'}"
    return (
        f"{missing} Run `make run`, which creates this project's environment, and `. .venv/bin/activate`. Or install "
        f"it into your own, Python 3.11 or newer: pip install -e '.[{extras}]'"
    )


def shared_files(function: str) -> dict[str, Path]:
    """The shared modules in the package of a shipped function that needs few, by their names in it; empty: all."""
    needed = _SHARED_BY.get(function, ())
    return {f"{FUNCTIONS.name}/{SHARED.name}/{name}": SHARED / name for name in needed}


def shipped_functions() -> tuple[str, ...]:
    """The names of the functions whose source is shipped, sorted."""
    return tuple(
        sorted((ACCESS, *(folder.name for folder in FUNCTIONS.iterdir() if (folder / "handler.py").is_file())))
    )


def access_package() -> dict[str, Any]:
    """The fields of a FunctionSpec that say where the code of :data:`ACCESS` is: modules of this package, as they are.

    What its handler imports, and nothing else, so that a change of a command is none of the function.
    """
    proposal = PACKAGE_ROOT / "proposal"
    files = ("__init__.py", "catalog.py", "read_catalog.py")
    return {
        "source": PACKAGE_ROOT / ACCESS,
        "include": (
            SHARED,
            FUNCTIONS / "load" / "warehouse",
            FUNCTIONS / "extract" / "source",
            PACKAGE_ROOT / "warehouse",
        ),
        "package_root": PACKAGE_ROOT.parents[1],
        "extra_files": {f"lambda_toolkit/pipeline/proposal/{name}": proposal / name for name in files},
    }
