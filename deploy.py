"""The command line of the pipeline: names the commands, nothing else. Each is a module of ``commands/``.

``python deploy.py`` alone deploys everything, as GitHub Actions runs it. ``python deploy.py --help`` lists the rest.
"""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "deploy": "Deploy the pipeline, or redeploy just the functions named.",
    "plan": "Show what deploy would do, and change nothing.",
    "status": "Show what is deployed, how fresh the warehouse is, and the alarms.",
    "run": "Extract now, and follow the batch until it is in the warehouse.",
    "prepare": "Create what the warehouse lacks; name every difference.",
    "invoke": "Invoke one function; show its result and the end of its log.",
    "logs": "Show one function's logs.",
    "destroy": "Remove everything that deploy made.",
    "local": "The whole pipeline on this machine: no account, no Docker.",
}
LOCAL_COMMANDS = {
    "up": "Start the embedded stack, prepare and seed the databases, deploy to it.",
    "down": "Stop the embedded stack.",
    "env": "Print the exports that point the AWS CLI, boto3 and psql at it.",
    "run": "The main job: up, run, a business day, run again, check, show, down.",
    "simulate": "Go on making business happen in the source.",
}


class LazyGroup(click.Group):
    """A group whose commands are modules, imported only when they are called: help and completion stay instant."""

    def __init__(
        self, *args: object, prefix: str = "", summaries: dict[str, str] | None = None, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._prefix = prefix
        self._summaries = summaries or {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order in which one uses them."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or ``None``."""
        if cmd_name not in self._summaries:
            return None
        if cmd_name == "local":
            return local
        found: click.Command = importlib.import_module(f"commands.{self._prefix}{cmd_name}").command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The summaries, without importing a command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options without a command are those of ``deploy``: ``python deploy.py --stage prod`` deploys prod."""
        if not self._prefix and (not args or (args[0].startswith("-") and args[0] != "--help")):
            args = ["deploy", *args]
        return super().parse_args(ctx, args)


@click.group(cls=LazyGroup, summaries=COMMANDS)
def main() -> None:
    """Deploy and run the pipeline. Without a command: deploy."""


@click.group(cls=LazyGroup, prefix="local_", summaries=LOCAL_COMMANDS)
def local() -> None:
    """The whole pipeline on this machine: a real PostgreSQL, an emulated AWS, nothing to sign up for."""


if __name__ == "__main__":
    main()
