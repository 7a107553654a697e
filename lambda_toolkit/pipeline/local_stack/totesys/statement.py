"""SQL whose table and column names are only known when it runs: from a template, every name quoted."""

from __future__ import annotations

from pg8000.native import identifier


def compose(template: str, **names: str | list[str]) -> str:
    """The template with each ``{name}`` replaced by the quoted identifier, a list by its items with commas between.

    Names alone: a value goes to the server beside the statement, as ``:value``.
    """
    quoted = {
        place: identifier(name) if isinstance(name, str) else ", ".join(map(identifier, name))
        for place, name in names.items()
    }
    return template.format(**quoted)
