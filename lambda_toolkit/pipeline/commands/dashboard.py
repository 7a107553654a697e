"""``dashboard``: a web page on this machine that shows the pipeline: health, batches, warehouse, deployment."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import Path

import click

from lambda_toolkit.pipeline.commands.shared.options import Request, explained, with_request
from lambda_toolkit.pipeline.installed import suggested


@click.command("dashboard")
@click.option("--port", type=click.IntRange(1, 65535), help="Listen at this port; default: a free one.")
@click.option("--open", "browse", is_flag=True, help="Open it in the browser.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.5),
    metavar="SECONDS",
    help="How often an open page looks for what is new; default: 2, on AWS 20, where each look costs requests.",
)
@with_request
def command(request: Request, port: int | None, browse: bool, every: float | None) -> None:
    """Show the pipeline in a browser: whether it is fresh and whole, its batches, the warehouse, what is deployed.

    The page listens on 127.0.0.1 alone, follows what happens while it is open, and changes nothing. Its address has a
    key, so that other users of this machine and other pages do not see it. Ctrl-C ends it.
    """
    from lambda_toolkit.pipeline.dashboard import server
    from lambda_toolkit.pipeline.dashboard.documents import AWS_SECONDS, LOCAL_SECONDS, Targets, sources
    from lambda_toolkit.pipeline.dashboard.readings import Readings
    from lambda_toolkit.pipeline.dashboard.rendering import Frame

    target = request.target()
    pipeline, screen = target.pipeline, request.screen
    seconds = every or (LOCAL_SECONDS if target.is_local else AWS_SECONDS)
    frame = Frame(pipeline.name, pipeline.stage, server.new_home(), server.KINDS)
    readings = Readings(sources(Targets(target), _now, seconds), lambda error: _explained(error, request.config))
    listening = server.listen(port)
    number = listening.getsockname()[1]
    url = f"http://{server.LOOPBACK}:{number}{frame.home}"

    def started() -> None:
        screen.say(f"{pipeline.name} ({pipeline.stage}) is shown at {url}", bold=True)
        screen.progress("Ctrl-C ends it.")
        screen.document({"url": url, "port": number})
        if browse:
            click.launch(url)

    server.serve(server.Dashboard(readings, frame, seconds / 2, _now, suggested), listening, started)


def _now() -> datetime:
    return datetime.now(UTC)


def _explained(error: Exception, config: Path) -> str:
    text = explained(error, config)
    if type(error).__name__ in text:
        traceback.print_exception(error)
    return text
