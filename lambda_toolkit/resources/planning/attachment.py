"""What an attachment of a function is: the protocol that its module satisfies, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lambda_toolkit.aws.account import ArnFormat
from lambda_toolkit.aws.client import Aws
from lambda_toolkit.changes import Change, Key
from lambda_toolkit.resources.planning.live import LiveFunction
from lambda_toolkit.resources.planning.reads import Prefetch, Reads
from lambda_toolkit.spec.model import FunctionSpec, Kind

Statement = Mapping[str, Any]
"""A statement of an IAM policy."""


def notification_name(function: str, bucket: str) -> str:
    """The name of the change of the notifications of ``bucket`` to ``function``."""
    return f"{function} on {bucket}"


@dataclass(frozen=True)
class PlanScope:
    """What else the same plan changes."""

    with_triggers: frozenset[str] = frozenset()
    """The functions of the plan whose S3 triggers are declared."""
    removed: Callable[[], Collection[Key]] = frozenset
    """The keys of what the plan removes because it is no longer declared; found at the first call."""
    destroyed: frozenset[str] = frozenset()
    """The functions that the plan removes."""
    written: dict[str, dict[str, Any]] = field(default_factory=dict, compare=False)
    """By bucket and id, the notifications that the plan's changes have written; ``None`` for those they removed."""

    def replaces(self, function: str, bucket: str) -> bool:
        """Whether the plan replaces the notifications of ``bucket`` to ``function``."""
        key = (Kind.S3_NOTIFICATION, notification_name(function, bucket))
        return bool(function) and (function in self.with_triggers or key in self.removed())


@dataclass(frozen=True)
class Context:
    """What planning one function may look at. It is created once per function and shared by all attachments."""

    reads: Reads
    """What was read from AWS. For plans only: a change that is applied later reads again, through its own argument."""
    spec: FunctionSpec
    """The function as declared, with the tags of application and stage."""
    attachments: tuple[Attachment, ...] = ()
    """All kinds of attachments, for what they need from each other."""
    scope: PlanScope = field(default_factory=PlanScope)
    """What else the plan changes."""

    @property
    def aws(self) -> Aws:
        """For reads that only one attachment needs."""
        return self.reads.aws

    @property
    def function_key(self) -> Key:
        """The key of the function's own change, for those that wait for it."""
        return Kind.FUNCTION, self.spec.name

    def live(self) -> LiveFunction | None:
        """The function on AWS; ``None`` where it does not exist. Raises AwsError."""
        return self.reads.function(self.spec)

    def function_is_ours(self) -> bool:
        """Whether the function exists and the toolkit created it. Raises AwsError."""
        live = self.live()
        return live is not None and live.is_ours(self.spec.name)


@dataclass(frozen=True)
class DeployerActions:
    """IAM actions that whoever deploys an attachment needs."""

    sid: str
    """The id of their statement."""
    service: str
    """The prefix of the actions: ``events``."""
    actions: tuple[str, ...]
    """Those on the attachment's own resources, without the prefix: ``PutRule``."""
    lists: tuple[str, ...] = ()
    """Those that know no resources, without the prefix: ``ListRules``."""
    lists_where_declared: tuple[str, ...] = ()
    """Those that know no resources, and are needed only where a function declares the attachment."""
    with_data: tuple[str, ...] = ()
    """Those on its own resources that only who may delete data needs."""


class Attachment(Protocol):
    """A kind of resource that belongs to one function. A module satisfies it; no class is needed.

    Each change gets the ``Aws`` to apply it with as an argument, called ``executor_aws``: what the plan read through
    ``context`` may be out of date by then, and must not be read again through it.
    """

    @property
    def KIND(self) -> Kind:  # noqa: N802 - a constant of the module
        """The kind of its changes."""

    @property
    def DEPLOYER_ACTIONS(self) -> DeployerActions:  # noqa: N802 - a constant of the module
        """What the deployer's policy must allow."""

    def deployer_resources(self, spec: FunctionSpec, arns: ArnFormat) -> Sequence[str]:
        """The ARNs on which :attr:`DEPLOYER_ACTIONS` are needed for ``spec``."""

    def role_statements(self, spec: FunctionSpec, arns: ArnFormat) -> Sequence[Statement]:
        """What the function's execution role must allow for the attachment to work."""

    def prefetch(self, context: Context) -> Prefetch:
        """The reads that :meth:`plan` will make in any case."""

    def plan(self, context: Context) -> list[Change]:
        """The changes that bring the attachment to ``context.spec``. None where ``spec`` does not manage it.

        Reads only. Raises ToolkitError, such as OwnershipError for a resource that is not the toolkit's.
        """

    def plan_undeclared(self, context: Context, tagged: Collection[str]) -> list[Change]:
        """The changes that remove what ``spec`` no longer declares. Of that, :meth:`plan` removes only what is declared
        empty. ``tagged`` are the resources (last part of the ARN) that have the function's tag, which may lag behind.
        """

    def plan_removal(self, context: Context) -> list[Change]:
        """The changes that remove everything that the toolkit created for the function, whether declared or not.

        A change comes after the function's own removal where it has ``context.function_key`` in ``after``, else before.
        """
