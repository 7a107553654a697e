"""Groups whose commands are imported when they are called, and whose usage errors are JSON where that is asked for."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from lambda_toolkit.pipeline.installed import what_to_install


class LazyGroup(click.Group):
    """A group whose commands are modules ``<package>.<name>``: help and completion stay instant.

    ``summaries`` maps each name to a line of help. ``default`` is the command that runs where none is named.
    """

    def __init__(
        self, *args: Any, package: str, summaries: Mapping[str, str], default: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self._summaries = summaries
        self._default = default

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Run the command line and end the process. Wrong usage: code 2, and with ``--json`` a document."""
        arguments = list(sys.argv[1:] if args is None else args)
        try:
            super().main(arguments, **{**extra, "standalone_mode": False})
        except click.ClickException as error:
            error.show()
            if "--json" in arguments:
                click.echo(json.dumps({"error": error.format_message()}, indent=2))
            sys.exit(error.exit_code)
        except click.Abort:
            from lambda_toolkit.pipeline.commands.shared.options import INTERRUPTED

            click.echo("Stopped.", err=True)
            sys.exit(INTERRUPTED)
        except ModuleNotFoundError as error:  # of a command, or of its body: only click need be installed for help
            message = what_to_install(error)
            click.secho(f"Error: {message}", fg="red", bold=True, err=True)
            if "--json" in arguments:
                click.echo(json.dumps({"error": message}, indent=2))
            sys.exit(1)
        sys.exit(0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order in which one uses them."""
        return [*self._summaries, *self.commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or ``None``."""
        if cmd_name not in self._summaries:
            return self.commands.get(cmd_name)
        found: click.Command = importlib.import_module(f"{self._package}.{cmd_name.replace('-', '_')}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that ``args`` begin with. Raises UsageError that names the nearest where there is none."""
        if self.get_command(ctx, args[0]) is None:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx))
            meant = f" Did you mean '{near[0]}'?" if near else ""
            ctx.fail(f"No such command '{args[0]}'.{meant}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The summaries, without importing a command."""
        groups = {name: group.get_short_help_str(limit=80) for name, group in self.commands.items()}
        with formatter.section("Commands"):
            formatter.write_dl([*self._summaries.items(), *groups.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Options without a command are those of the default one: ``--stage prod`` deploys prod."""
        if ctx.resilient_parsing and not args:
            return super().parse_args(ctx, args)  # a shell completes the name of a command
        own = {*ctx.help_option_names, *(name for option in self.params for name in option.opts)}
        if self._default and (not args or (args[0].startswith("-") and args[0] not in own)):
            args = [self._default, *args]
        return super().parse_args(ctx, args)
