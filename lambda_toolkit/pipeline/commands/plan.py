"""``plan``: what deploy would change. Only reads. The options that both commands share define the scope of a plan."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from lambda_toolkit.pipeline.client.addresses import address_notes
from lambda_toolkit.pipeline.client.sources.mirror import Follow, refreshed
from lambda_toolkit.pipeline.client.target import Target, refuse_file
from lambda_toolkit.pipeline.commands.shared.options import CHANGES, DONE, Request, with_request
from lambda_toolkit.pipeline.commands.shared.screen import counted
from lambda_toolkit.pipeline.commands.shared.show_changes import as_document, notes_of, show_changes
from lambda_toolkit.pipeline.config.aws.deployment import aws_names, deployment
from lambda_toolkit.pipeline.errors import CommandError, UsageError

if TYPE_CHECKING:
    from lambda_script import Change, Plan
    from lambda_toolkit.aws import Aws


@dataclass(frozen=True)
class Scope:
    """Whether unmanaged resources are adopted, undeclared ones removed, and their data with them.

    ``overwritten``: the secrets to write although they were changed since a deploy wrote them.
    """

    adopt: bool = False
    prune: bool = True
    delete_data: bool = False
    overwritten: tuple[str, ...] = ()

    def plan(self, aws: Aws, target: Target, functions: Collection[str] = ()) -> Plan:
        """The plan for ``target``, or for the FUNCTIONs named. Reads only. Raises ToolkitError and CommandError."""
        from lambda_script import plan

        refuse_file(target)
        only = aws_names(target.pipeline, functions)
        if only is not None and self.overwritten:
            raise UsageError("With FUNCTIONs named, no secret is written: give --overwrite-secret without them.")
        wanted = deployment(target.pipeline, aws.account_id, target.environ, overwritten=self.overwritten)
        found = plan(replace(wanted, adopt=self.adopt), aws, only=only, prune=self.prune, delete_data=self.delete_data)
        return replace(found, notes=(*found.notes, *address_notes(target.pipeline, target.environ)))


EVERYTHING = Scope()


def scope_options(body: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options, which reach ``body`` as ``scope``."""

    @click.option("--adopt", is_flag=True, help="Adopt resources that have a declared name and are not managed yet.")
    @click.option("--no-prune", is_flag=True, help="Keep resources that the configuration no longer declares.")
    @click.option("--delete-data", is_flag=True, help="Also remove undeclared buckets with objects, secrets and logs.")
    @click.option(
        "--overwrite-secret",
        "overwritten",
        multiple=True,
        metavar="NAME",
        help="Write the declared value to this secret, although its value was changed since it was deployed.",
    )
    @functools.wraps(body)
    def call(
        *args: Any, adopt: bool, no_prune: bool, delete_data: bool, overwritten: tuple[str, ...], **named: Any
    ) -> Any:
        return body(*args, scope=Scope(adopt, not no_prune, delete_data, overwritten), **named)

    return call


@click.command("plan")
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...")
@click.option(
    "--exit-code", "exit_code", is_flag=True, help="Exit with 0 when nothing would change, 2 when something would."
)
@scope_options
@with_request
def command(request: Request, functions: tuple[str, ...], exit_code: bool, scope: Scope) -> int:
    """Show what deploy would create (+), update (~) and delete (-), for everything or for the FUNCTIONs named.

    Each attribute that differs is shown as `attribute: on AWS -> declared`, also where it was changed outside of this
    tool. Secret values are masked. Where code differs, the files are named. With the same options, deploy does exactly
    this.

    Where the environment has the source's URL, its catalog is read too. What extract would refuse is an error: a table
    or column that is missing, cannot be read or has another type, a key that does not identify rows. What changed since
    the last batch is a note.
    """
    found = _read(request.target(), functions, scope, request.screen.say)
    show_changes(request.screen, found.changes)
    for note in found.notes:
        request.screen.say(f"Note: {note}.")
    count = len(found.changes)
    request.screen.say(f"{counted(count, 'change')}." if count else "Nothing would change.", bold=True)
    if found.added:
        request.screen.say(found.added)
    if found.problems:
        raise CommandError("\n".join(found.problems))
    request.screen.document(found.document)
    return CHANGES if exit_code and count else DONE


def plan_document(target: Target) -> dict[str, Any]:
    """What a deploy of everything to ``target`` would change, as JSON values. Raises ToolkitError and CommandError."""
    found = _read(target, (), EVERYTHING, lambda line: None)
    if found.problems:
        raise CommandError("\n".join(found.problems))
    return found.document


@dataclass(frozen=True)
class _Found:
    changes: Sequence[Change]
    notes: Sequence[str]
    problems: Sequence[str]
    """What extract would refuse of the source."""
    added: str | None
    """What the changes add to the cost of a month, as a sentence."""
    document: dict[str, Any]


def _read(target: Target, functions: Collection[str], scope: Scope, say: Callable[[str], None]) -> _Found:
    """What deploy would do; ``say`` is called with a line for each change of a mirrored source."""
    from lambda_script import price_list
    from lambda_toolkit.pipeline.client.changed_files import with_changed_files  # imported on use: not by `deploy`
    from lambda_toolkit.pipeline.client.sources.source import check_source
    from lambda_toolkit.pipeline.cost.what_if import added_cost, sentence
    from lambda_toolkit.pipeline.cost.workload import declared

    mirror = refreshed(target, Follow.NOTHING, write=False)
    target = mirror.target
    for line in mirror.lines:
        say(line)
    aws = target.aws()
    plan = scope.plan(aws, target, functions)
    changes = [with_changed_files(change, aws, target) for change in plan.changes]
    source = check_source(target, aws)
    notes = [*notes_of(plan), *source.notes]
    said = [text.rstrip(".") for text in (*mirror.changes, *mirror.notes)]
    added = added_cost(declared(target.pipeline), plan.changes, price_list(target.pipeline.region))
    document = {"changes": as_document(changes), "notes": [*said, *notes], "added_usd_a_month": f"{added:.4f}"}
    return _Found(changes, notes, source.problems, sentence(added), document)
