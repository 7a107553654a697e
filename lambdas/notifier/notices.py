"""What the declaration says of each alarm, packaged as ``alarms.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ALARMS_FILE = "alarms.json"
ALARMS_FORMAT = 1  # of ALARMS_FILE


class NotifierError(Exception):
    """A message could not be made or sent. The text is for people, and has no secret."""


@dataclass(frozen=True)
class Notice:
    """One alarm as declared."""

    function: str
    """The function that it watches, as declared; empty for an alarm of others."""
    log_group: str
    """The function's log group; empty for an alarm of others."""
    incident: str
    """Alarms with the same text are one incident."""
    symptom: bool
    """Whether it joins another incident that is open."""
    what: str
    """What is wrong, in plain words; empty: the alarm's own description says it."""
    command: str
    """The command that helps; empty: none is known."""
    alarm: str = ""
    """Its name in the declaration; empty for an alarm of others."""


@dataclass(frozen=True)
class Catalog:
    """The alarms of one stage of a pipeline."""

    pipeline: str
    stage: str
    notices: Mapping[str, Notice]
    """By the alarms' names on CloudWatch."""

    @property
    def title(self) -> str:
        """What messages call the pipeline: ``totes dev``."""
        return f"{self.pipeline} {self.stage}"

    def of(self, alarm: str) -> Notice:
        """What is declared of ``alarm``; of an alarm of others, that it is an incident of its own."""
        return self.notices.get(alarm) or Notice("", "", alarm, symptom=False, what="", command="")


def load(root: Path) -> Catalog:
    """The catalog packaged in ``root``. Raises NotifierError where it is missing, or of another format."""
    path = root / ALARMS_FILE
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != ALARMS_FORMAT:
            raise NotifierError(
                f"{path} has the format {document['format']!r}; this code reads format {ALARMS_FORMAT}: the function "
                "was packaged by another release. Deploy it again with this one."
            )
        notices = {name: Notice(**item) for name, item in document["alarms"].items()}
        return Catalog(document["pipeline"], document["stage"], notices)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotifierError(
            f"{path}, which says what messages say, cannot be read ({type(error).__name__}): the function was packaged "
            "without it, or by another release. Deploy it again."
        ) from error
