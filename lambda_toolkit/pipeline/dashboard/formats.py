"""How the pages write numbers, durations and times."""

from __future__ import annotations

import re
from datetime import UTC, datetime

UNKNOWN = "\N{EN DASH}"
"""In place of a value that there is not."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``42 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``; a dash where it is not known."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 10 and round(seconds, 1) % 1:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, size, smaller, name in ((_DAY, _DAY, _HOUR, "d h"), (_HOUR, _HOUR, _MINUTE, "h min")):
        if whole >= unit:
            large, small = name.split()
            rest = whole % size // smaller
            return f"{whole // size:,} {large}" + (f" {rest} {small}" if rest else "")
    if whole >= _MINUTE:
        return f"{whole // _MINUTE} min" + (f" {whole % _MINUTE} s" if whole % _MINUTE else "")
    return f"{whole} s"


def number(value: object) -> str:
    """A number with commas; any other value as it is, NULL as a dash."""
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.2f}".rstrip("0").rstrip(".")
    text = str(value)
    if _NUMBER.fullmatch(text):
        whole, point, fraction = text.partition(".")
        return f"{int(whole):,}{point}{fraction}" if whole != "-0" else text
    return text


def short_number(value: float) -> str:
    """A number for an axis: ``950``, ``1.5k``, ``20M``."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def counted(count: int, thing: str, ending: str = "s") -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {thing}{'' if count == 1 else ending}"


def instant(text: str | None) -> datetime | None:
    """A time of a document, ISO 8601 or as ``status`` prints it, in UTC; None where it is none."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def clock(text: str | None, now: datetime) -> str:
    """The time of day of ``text``, and its date where that is not today's, in UTC; a dash where it is not known."""
    at = instant(text)
    if at is None:
        return text or UNKNOWN
    return f"{at:%H:%M:%S}" if at.date() == now.astimezone(UTC).date() else f"{at:%Y-%m-%d %H:%M}"


def ago(text: str | None, now: datetime) -> str:
    """``3 min ago``; a dash where it is not known."""
    at = instant(text)
    if at is None:
        return UNKNOWN
    seconds = max(0.0, (now - at).total_seconds())
    whole = duration(seconds).split()
    return "just now" if seconds < 1 else f"{' '.join(whole[:2])} ago"
