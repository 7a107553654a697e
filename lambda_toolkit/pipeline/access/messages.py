"""The requests and results of the function ``access``, which it shares with the commands.

Whoever may invoke it may do what a request says, and nothing else: read the warehouse, create what a declaration lacks
there, and read the source's catalog. No request has a statement that is run outside of a read-only transaction: what
``prepare`` runs is made of CREATE TABLE statements, which ``warehouse.ddl`` reads and of which it refuses all else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lambda_toolkit.pipeline.lambdas.shared.errors import PipelineError
from lambda_toolkit.pipeline.lambdas.shared.lake.object_keys import is_answer
from lambda_toolkit.pipeline.lambdas.shared.messages.events import Event, Request, request_in
from lambda_toolkit.pipeline.lambdas.shared.messages.message import Message
from lambda_toolkit.pipeline.proposal.catalog import Catalog

NAME = "access"  # as in ``installed``, which the function's package does not have
Scalar = str | int | float | bool | None


class QueryError(PipelineError):
    """The warehouse refuses a query, or it is none. The message is for whoever wrote it."""


@dataclass(frozen=True)
class TableRequest(Request):
    """Asks for the rows of a query as Arrow's IPC stream, values without a counterpart in Arrow as texts."""

    action = "table"

    query: str


@dataclass(frozen=True)
class CsvRequest(Request):
    """Asks for the rows of a query as CSV, with the names of the columns first."""

    action = "csv"

    query: str


@dataclass(frozen=True)
class RowsRequest(Request):
    """Asks for the few rows of a query with parameters, as values of Python."""

    action = "rows"

    query: str
    parameters: Mapping[str, Scalar] = field(default_factory=dict)


@dataclass(frozen=True)
class PrepareRequest(Request):
    """Creates what a warehouse lacks."""

    action = "prepare"

    declaration: str
    """``{"schema": SQL, "tables": [source] and [warehouse], "later": SQL}``, packed by ``packing.pack``. ``later``: the
    schema that the source takes, of which the alterations are named and not run."""
    into: str | None = None
    """The schema of a shadow warehouse; null: the live one."""
    alter: bool = False
    """Whether tables are altered where that loses nothing."""


@dataclass(frozen=True)
class CatalogRequest(Request):
    """Asks what the source's catalog says of schemas, and of declared tables."""

    action = "catalog"

    schemas: tuple[str, ...]
    tables: str | None = None
    """[source] and [warehouse], packed, where the keys and types of declared tables are asked for too."""


@dataclass(frozen=True)
class DiscardRequest(Request):
    """Removes an answer that was read."""

    action = "discard"

    key: str

    def __post_init__(self) -> None:
        """Raise PipelineError for what is not the key of an answer."""
        if not is_answer(self.key):
            raise PipelineError(f"The event of {NAME}, action {self.action}: `key` is not that of an answer.")


@dataclass(frozen=True)
class Column(Message):
    """A column of a query's result."""

    name: str
    type: str
    """Its PostgreSQL type, as format_type() writes it."""


@dataclass(frozen=True)
class Answer(Message):
    """The answer to a request: in the result itself, or where it is too large for that, an object in the bucket."""

    content: str | None = None
    """Base64 of its bytes."""
    key: str | None = None
    """The key of its object."""
    columns: tuple[Column, ...] = ()
    """Of a query's rows in Arrow."""


@dataclass(frozen=True)
class Discarded(Message):
    """The answer is not in the bucket any more."""


@dataclass(frozen=True)
class Prepared(Message):
    """What a preparation did, and what it left to do."""

    created: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    """Views."""
    altered: tuple[str, ...] = ()
    """The ALTER TABLE statements that were run."""
    alterations: tuple[str, ...] = ()
    """Those that were not, and lose nothing; what the source takes included."""
    differences: tuple[str, ...] = ()
    """Sentences."""


@dataclass(frozen=True)
class Catalogs(Message):
    """What the source's catalog says."""

    catalogs: Mapping[str, Catalog]
    """By schema."""
    types: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Declared table -> column -> type, as extract reads it."""
    keys: tuple[str, ...] = ()
    """A sentence for each declared table whose key does not identify its rows."""


AccessRequest = TableRequest | CsvRequest | RowsRequest | PrepareRequest | CatalogRequest | DiscardRequest
_REQUESTS: tuple[type[AccessRequest], ...] = (
    TableRequest,
    CsvRequest,
    RowsRequest,
    PrepareRequest,
    CatalogRequest,
    DiscardRequest,
)


def access_request(event: Event) -> AccessRequest:
    """The request in ``event``. Raises PipelineError that names what is wrong, and quotes no query."""
    if not isinstance(event, Mapping):
        raise PipelineError(f"The event of {NAME} must be a JSON object, not {type(event).__name__}.")
    return request_in(NAME, event, _REQUESTS)
