"""The words of a message: the subject and text of an email, and the payload for Slack. Pure.

Limits: the subject of SNS has at most 100 characters of ASCII
(https://docs.aws.amazon.com/sns/latest/api/API_Publish.html); a header of Slack 150 characters, a section 3,000
(https://docs.slack.dev/reference/block-kit/blocks/).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .findings import Findings, log_link
from .incidents import Incident, Trouble
from .letters import Kind, Letter
from .notices import Catalog

SUBJECT, HEADER, SECTION = 100, 150, 3000  # characters
TEXT = 100_000  # characters of an email; SNS takes 256 KB
_LONGEST_ERROR = 600  # characters
_MOST_BATCHES = 5  # that a message names
_MOST_ALARMS = 10  # of an incident that a message names


@dataclass(frozen=True)
class Place:
    """Where the function runs, for links."""

    region: str
    partition: str
    has_console: bool
    """Whether the console shows it: not so on the local stack."""


@dataclass(frozen=True)
class Message:
    """What is sent."""

    subject: str
    text: str
    slack: Mapping[str, Any]
    """The payload for a webhook."""


@dataclass(frozen=True)
class _Content:
    title: str
    """The subject, without the name of the pipeline."""
    intro: str
    facts: Sequence[tuple[str, str]]
    """A word and what is to be said about it."""
    link: str = ""
    command: str = ""
    end: str = ""


def message_of(letter: Letter, catalog: Catalog, findings: Mapping[str, Findings], place: Place) -> Message:
    """The message of ``letter``. ``findings`` are those of the log groups, where they could be read."""
    match letter.kind:
        case Kind.BEGIN if letter.incident:
            content = _begin(letter.incident, catalog, findings, place)
        case Kind.OVER if letter.incident:
            content = _over(letter.incident, catalog)
        case Kind.NO_SLACK:
            content = _no_slack(letter.text)
        case Kind.SLACK_AGAIN:
            content = _Content("Slack takes messages again", f"It did not {letter.text}.", ())
        case Kind.TEST:
            content = _Content(
                "a test: nothing is wrong",
                "This is a test of how messages arrive. Nothing is wrong, and there is nothing to do.",
                (("Test", letter.text), ("Sent", _time(letter.written))),
            )
        case _:
            content = _Content(letter.subject or "a message", letter.text, ())
    return _composed(content, catalog.title)


def _begin(incident: Incident, catalog: Catalog, findings: Mapping[str, Findings], place: Place) -> _Content:
    first = incident.troubles[0]
    notice = catalog.of(first.alarm)
    found = findings.get(notice.log_group, Findings())
    what = notice.what or first.description or f"The alarm {first.alarm} is in ALARM."
    others = [_what(trouble, catalog) for trouble in incident.troubles[1:_MOST_ALARMS]]
    facts = [
        ("Since", _time(incident.began)),
        ("Why", _shortened(found.error, _LONGEST_ERROR)),
        *_batches(found),
        ("Measured", first.reason),
        ("Also", " ".join(others)),
        ("Alarm", ", ".join(trouble.alarm for trouble in incident.troubles[:_MOST_ALARMS])),
        ("Log", "" if place.has_console else notice.log_group),
    ]
    return _Content(
        _sentence(what),
        what,
        [(name, text) for name, text in facts if text],
        link=log_link(notice.log_group, place.region, place.partition, incident.began) if place.has_console else "",
        command=notice.command,
        end="One more message follows when it is over, and none before.",
    )


def _batches(found: Findings) -> list[tuple[str, str]]:
    newest = sorted(found.batches)[-_MOST_BATCHES:]
    if not newest:
        return []
    rows = sum(sum(tables.values()) for tables in found.batches.values())
    tables = [f"{batch} ({_tables(found.batches[batch])})" for batch in newest]
    return [("Batches" if len(newest) > 1 else "Batch", ", ".join(tables)), ("Rows", f"{rows:,}")]


def _tables(tables: Mapping[str, int]) -> str:
    return ", ".join(f"{table}: {rows:,}" for table, rows in sorted(tables.items()))


def _what(trouble: Trouble, catalog: Catalog) -> str:
    return catalog.of(trouble.alarm).what or trouble.description or f"The alarm {trouble.alarm} is in ALARM."


def _over(incident: Incident, catalog: Catalog) -> _Content:
    what = _what(incident.troubles[0], catalog)
    lasted = duration(incident.last_bad - incident.began)
    facts = (
        ("It was", what),
        ("Since", _time(incident.began)),
        ("Until", _time(incident.last_bad)),
        ("For", lasted),
        ("Alarm", ", ".join(trouble.alarm for trouble in incident.troubles[:_MOST_ALARMS])),
    )
    return _Content(f"over: {_sentence(what)}", "It is over: its alarms are fine again.", facts)


def _no_slack(reason: str) -> _Content:
    return _Content(
        "Slack does not take messages, emails go on",
        "Messages do not arrive in Slack. They arrive by email, as before.",
        (("Why", reason),),
        end=(
            "A wrong or removed webhook is replaced by a deploy with the new URL in the variable that [secrets] of "
            "pipeline.toml names. The command alert-test shows whether messages arrive. One more email follows when "
            "they do."
        ),
    )


def _composed(content: _Content, title: str) -> Message:
    head = f"{title}: {content.title}"
    lines = [content.intro, ""]
    width = max((len(name) for name, _ in content.facts), default=0) + 2
    lines += [f"{name.ljust(width)}{text}" for name, text in content.facts]
    if content.link:
        lines += ["", "The log:", content.link]
    if content.command:
        lines += ["", "What helps:", content.command]
    if content.end:
        lines += ["", content.end]
    text = "\n".join(lines).strip() + "\n"
    return Message(subject(head), _shortened(text, TEXT), _slack(head, content))


def subject(text: str) -> str:
    """``text`` as SNS takes it: printable ASCII, at most 100 characters, and a letter or digit first."""
    plain = re.sub(r"\s+", " ", text.encode("ascii", "replace").decode())
    plain = "".join(character for character in plain if character.isprintable()).strip()
    plain = re.sub(r"^[^A-Za-z0-9]+", "", plain) or "a message"
    return plain if len(plain) <= SUBJECT else plain[: SUBJECT - 3].rstrip() + "..."


def _slack(head: str, content: _Content) -> dict[str, Any]:
    """The payload: blocks, and the text of the notification, which is also what is shown where blocks are not."""
    header = re.sub(r"[<>&]", " ", re.sub(r"\s+", " ", head))
    facts = "\n".join(f"*{name}*  {escaped(text)}" for name, text in content.facts)
    sections = [escaped(content.intro), facts]
    if content.link:
        sections.append(f"<{content.link}|The log>")
    if content.command:
        sections.append(f"*What helps*\n```{_unfenced(escaped(content.command))}```")
    if content.end:
        sections.append(escaped(content.end))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _shortened(header, HEADER), "emoji": False}},
        *(
            {"type": "section", "text": {"type": "mrkdwn", "text": _cut(section), "verbatim": True}}
            for section in sections
            if section
        ),
    ]
    return {"text": _cut(escaped(head)), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def plain_payload(message: Message) -> dict[str, Any]:
    """A payload without blocks, for a receiver that does not take them."""
    return {"text": _cut(f"{escaped(message.subject)}\n{escaped(message.text)}")}


def escaped(text: str) -> str:
    """``text`` for mrkdwn: no character of it is taken for a link, a mention or formatting.

    https://docs.slack.dev/messaging/formatting-message-text/#escaping
    """
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(character, entity)
    return re.sub(r"([*_~`])", "\u200b\\1", text)


def _unfenced(text: str) -> str:
    return text.replace("\u200b", "").replace("```", "'''")


def _cut(text: str) -> str:
    """At most :data:`SECTION` characters, and no half of an entity at the end."""
    if len(text) <= SECTION:
        return text
    return re.sub(r"&[a-z]*$", "", text[: SECTION - 3]) + "..."


def _sentence(text: str) -> str:
    """The first sentence, without its full stop."""
    return re.split(r"(?<=[.!?])\s", text.strip())[0].rstrip(".")


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def duration(length: timedelta) -> str:
    """``length`` in words: ``2 h 5 min``, ``40 s``."""
    seconds = max(int(length.total_seconds()), 0)
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
