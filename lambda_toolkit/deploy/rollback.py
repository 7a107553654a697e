"""Roll back to a version that was live before: one call that moves the alias."""

from __future__ import annotations

from dataclasses import dataclass

from lambda_toolkit.aws.client import Aws
from lambda_toolkit.errors import ToolkitError
from lambda_toolkit.resources.functions import version
from lambda_toolkit.resources.planning import alias
from lambda_toolkit.resources.planning.live import read_function
from lambda_toolkit.spec.model import Kind
from lambda_toolkit.spec.ownership import require_owned


@dataclass(frozen=True)
class Rollback:
    """What a rollback did."""

    function: str
    """The function's name."""
    from_version: str
    """The version that the alias ``live`` pointed to before."""
    to_version: str
    """The version that it points to now; may be the same."""

    def __str__(self) -> str:
        """In words."""
        if self.from_version == self.to_version:
            return f"{self.function}: version {self.to_version} is live already. An older one needs its number."
        return f"{self.function}: live was version {self.from_version} and is now version {self.to_version}."


def rollback(aws: Aws, name: str, to: str | int | None = None) -> Rollback:
    """Make version ``to`` of the function ``name`` live again; by default the newest one older than what was released.

    Without ``to``, a repeated call changes nothing: going back further needs the number.
    The next plan shows the rollback as a difference, and the next deploy undoes it. Raises ToolkitError where there is
    no such version, with the list of those that exist, and OwnershipError for a function that is not the toolkit's.
    """
    deployed, live = read_function(aws, name), alias.read(aws, name)
    if deployed is None or live is None:
        raise ToolkitError(f"{name} was not released yet: there is nothing to roll back to. Deploy it first.")
    require_owned(Kind.FUNCTION, name, deployed.tags, adopt=False, function=name)
    published = version.published(aws, name)
    released = live.release.version if live.release else live.version
    target = str(to) if to is not None else _before(published, released)
    if target is None:
        raise ToolkitError(f"{name} has no version older than {released}, which was released. {_available(published)}")
    if target not in published:
        raise ToolkitError(f"{name} has no version {target}. {_available(published)}")
    if target != live.version or live.weights:
        alias.route(aws, name, target, {})
    return Rollback(name, live.version, target)


def _before(published: list[str], version: str) -> str | None:
    """The newest version older than ``version``."""
    return next((number for number in reversed(published) if int(number) < int(version)), None)


def _available(published: list[str]) -> str:
    return f"There are: {', '.join(published) or 'none'}."
