"""A headless Chromium of this machine, and what it saw of a page: its console, its requests, axe's violations."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}


def find_chromium() -> str | None:
    """The path of a Chromium, or None where this machine has none: ``make browser`` installs Debian's."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def started(executable: str) -> Iterator[Browser]:
    """The browser, headless, with nothing that reaches the network on its own. Ended afterwards."""
    from playwright.sync_api import sync_playwright

    quiet = ["--disable-background-networking", "--disable-component-update", "--no-first-run", "--disable-sync"]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses root otherwise
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*quiet, *sandbox])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Seen:
    """What a page did, since it was opened."""

    page: Page
    errors: list[str] = field(default_factory=list)
    """Errors and warnings of the console, and of scripts."""
    requests: list[str] = field(default_factory=list)
    """The addresses."""
    received: list[float] = field(default_factory=list)
    """Bytes of each complete answer on the wire, head included."""


def opened(
    browser: Browser, *, dark: bool = False, narrow: bool = False, scripts: bool = True, scale: float = 1
) -> tuple[BrowserContext, Seen]:
    """A page in a context of its own, which the caller closes."""
    context = browser.new_context(
        viewport={**(NARROW if narrow else WIDE)},  # type: ignore[arg-type]
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    seen = Seen(page)
    page.on("console", lambda line: seen.errors.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    network = context.new_cdp_session(page)
    network.on("Network.loadingFinished", lambda event: seen.received.append(event["encodedDataLength"]))
    network.send("Network.enable")
    return context, seen


def violations(page: Page) -> list[str]:
    """What axe-core finds: WCAG 2.2 A and AA, and best practices; each rule with the elements that violate it."""
    from axe_playwright_python.sync_playwright import Axe

    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    options = {"runOnly": {"type": "tag", "values": tags}, "resultTypes": ["violations"]}
    found: list[dict[str, Any]] = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]
