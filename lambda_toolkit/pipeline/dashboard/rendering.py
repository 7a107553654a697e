"""Pages as HTML, section by section: a live page replaces the sections that changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lambda_toolkit.pipeline.dashboard.pages.model import Page, PageKind, Section

_PARTS = "parts.html"
_DIGITS = 12  # of a digest


@dataclass(frozen=True)
class Fragment:
    """A part of a page that is replaced as a whole: its id, its HTML, and a digest of that."""

    id: str
    html: Markup
    digest: str


@dataclass(frozen=True)
class Frame:
    """What is around each page."""

    name: str
    stage: str
    home: str
    """The path of the dashboard, with a slash at both ends."""
    kinds: Sequence[PageKind]


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader(f"{__package__}", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def fragments(page: Page, frame: Frame) -> tuple[Fragment, ...]:
    """The badge of the verdict, and each section of the page."""
    badge = _macro(_PARTS, "badge", page, frame.home)
    return (Fragment("badge", badge, _digest(badge)), *(_section(page, section) for section in page.sections))


def document(page: Page, frame: Frame, parameters: Mapping[str, str], read_at: str) -> str:
    """The complete page."""
    badge, *sections = fragments(page, frame)
    seen = {"page": page.name, **parameters}
    own = "" if page.name == frame.kinds[0].name else page.name
    return (
        _templates()
        .get_template("base.html")
        .render(
            page=page,
            name=frame.name,
            stage=frame.stage,
            home=frame.home,
            kinds=frame.kinds,
            badge=badge.html,
            sections=[each.html for each in sections],
            events=f"{frame.home}events?{urlencode(seen)}",
            json=f"{frame.home}{own}?{urlencode({**parameters, 'format': 'json'})}",
            read_at=read_at,
        )
    )


def _section(page: Page, section: Section) -> Fragment:
    is_empty = not any(section.shown.values())
    if is_empty and (section.problem or section.nothing):
        body = Markup("") if section.problem else Markup("<p>{}</p>").format(section.nothing)
    else:
        body = _macro(f"{page.name}.html", section.macro, section.shown)
    digest = _digest(f"{section}{body}")
    return Fragment(section.id, _macro(_PARTS, "section", section, body, digest), digest)


def _macro(template: str, macro: str, *arguments: Any) -> Markup:
    """What a macro of the template shows; one that several pages have is in ``parts.html``."""
    module = _module(template)
    found: Markup = getattr(module if hasattr(module, macro) else _module(_PARTS), macro)(*arguments)
    return found


@cache
def _module(template: str) -> Any:
    return _templates().get_template(template).module


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
