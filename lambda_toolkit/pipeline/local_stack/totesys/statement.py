"""Composes SQL from templates, with table and column names quoted."""

from __future__ import annotations

from pg8000.native import identifier


def compose(template: str, **names: str | list[str]) -> str:
    """Return the template with each ``{name}`` replaced by the quoted identifier, or by a comma-separated list.

    For names only: pass a value to the server as a parameter, ``:value``.
    """
    quoted = {
        place: identifier(name) if isinstance(name, str) else ", ".join(map(identifier, name))
        for place, name in names.items()
    }
    return template.format(**quoted)
