"""What was captured of one table, before it is part of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from ..shared.lake.manifest import Coverage, File, KeyFile
from ..shared.postgres import sql
from .source.reader import ALL, NONE


@dataclass(frozen=True)
class Captured:
    """``read``: the condition on the rows ``t`` that were read as changes; ``covered``: on those that were read ever.

    ``progressed``: something must be remembered although no row changed.
    """

    changes: File | None = None
    deleted: File | None = None
    keys: Sequence[KeyFile] = ()
    since: Sequence[File] = ()
    compared_at: str | None = None
    coverage: Coverage | None = None
    seen: pa.Table | None = None
    read: sql.Fragment = NONE
    covered: sql.Fragment = ALL
    progressed: bool = False
