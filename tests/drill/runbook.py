"""``docs/runbook.md`` as data: its alarms, and for each cause what the log says and the commands that repair it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.repository import REPOSITORY

RUNBOOK = REPOSITORY / "docs" / "runbook.md"
TABLE_BEGINS, TABLE_ENDS = "<!-- times of the drill -->", "<!-- end of the times -->"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"`([a-z0-9-]+)`")
OMITTED = "…"  # in a line of the log: anything


@dataclass(frozen=True)
class Cause:
    """One cause of an alarm: a section ``###`` of the runbook."""

    title: str
    alarm: str
    """The first alarm of its section ``##``, such as ``extract-errors``; empty where there is none."""
    lasting: str
    """The last alarm of that section: it ends when the cause is repaired."""
    look: str
    """The commands of the alarm's section, which show what is wrong."""
    said: tuple[str, ...]
    """Texts that those commands print."""
    edits: tuple[tuple[str, str], ...]
    """What is replaced in ``config/pipeline.toml``, and by what."""
    repair: str
    """The commands that repair it."""


def alarms(text: str) -> list[str]:
    """The alarms that have a section, by their names without application and stage."""
    return [name for heading, _ in _sections(text, "##") for name in _NAME.findall(heading)]


def causes(text: str) -> Mapping[str, Cause]:
    """Each cause by its title. Raises ValueError for a cause without commands, and for a title that is there twice."""
    found: dict[str, Cause] = {}
    for heading, body in _sections(text, "##"):
        names = _NAME.findall(heading)
        before = re.split(r"^### ", body, maxsplit=1, flags=re.MULTILINE)[0]
        for title, section in _sections(body, "###"):
            blocks = _FENCE.findall(section)
            repair = "".join(code for language, code in blocks if language == "sh")
            if not repair or title in found:
                raise ValueError(f"{RUNBOOK.name}: {title!r} has no commands, or the title of another cause")
            found[title] = Cause(
                title=title,
                alarm=names[0] if names else "",
                lasting=names[-1] if names else "",
                look="".join(code for language, code in _FENCE.findall(before) if language == "sh"),
                said=tuple(
                    part.strip()
                    for language, code in blocks
                    if language == "text"
                    for part in re.split(rf"{OMITTED}|\n", code)
                    if part.strip()
                ),
                edits=tuple(edit for language, code in blocks if language == "diff" for edit in _edits(code)),
                repair=repair,
            )
    return found


def with_times(text: str, head: Sequence[str], times: Mapping[str, str]) -> str:
    """The runbook with these lines of its table, by cause, and those that it has of other causes, in its order.

    Raises ValueError where the place of the table is missing.
    """
    before, begins, rest = text.partition(TABLE_BEGINS)
    written, ends, after = rest.partition(TABLE_ENDS)
    if not begins or not ends:
        raise ValueError(f"{RUNBOOK.name} has no place for the table of times")
    known = {line.split("|")[1].strip(): line for line in written.strip().splitlines()[len(head) :]}
    lines = [({**known, **times})[cause] for cause in causes(text) if cause in known or cause in times]
    return "\n".join([before + begins, *head, *lines, ends + after])


def read(path: Path = RUNBOOK) -> str:
    """The text of the runbook."""
    return path.read_text(encoding="utf-8")


def _sections(text: str, level: str) -> Iterator[tuple[str, str]]:
    """Each heading of that level, and the text below it."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def _edits(diff: str) -> Iterator[tuple[str, str]]:
    """The lines to replace and their replacements, of a diff in which each removed line has an added one."""
    removed = [line[1:] for line in diff.splitlines() if line.startswith("-")]
    added = [line[1:] for line in diff.splitlines() if line.startswith("+")]
    yield from zip(removed, added, strict=True)
