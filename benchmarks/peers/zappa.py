"""Zappa: one Lambda for an application; scheduled functions are events that it passes on to them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from benchmarks.peers.peer import RUNTIME, Command, Project, PythonPeer, Site


class Zappa(PythonPeer):
    """It packages the virtual environment that it runs in, which holds itself alone."""

    name = "zappa, one Lambda with all schedules"
    requirements = ("zappa==0.63.0", "setuptools<81")

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment that it packages."""
        return {"VIRTUAL_ENV": str(self.home)}

    def write(self, site: Site, project: Project) -> None:
        """The handlers and the settings."""
        project.write_handlers(site.directory)
        settings = {
            "dev": {
                "project_name": "bench",
                "runtime": RUNTIME,
                "s3_bucket": "bench-zappa-artifacts",
                "aws_region": site.environment["AWS_REGION"],
                "memory_size": project.memory,
                "timeout_seconds": project.timeout,
                "apigateway_enabled": False,
                "keep_warm": False,
                "events": [
                    {"function": f"functions.{name}.handler.lambda_handler", "expression": project.schedule}
                    for name in project.functions
                ],
            }
        }
        (site.directory / "zappa_settings.json").write_text(json.dumps(settings, indent=1), encoding="utf-8")

    def expected(self, project: Project) -> tuple[int, int]:
        """One Lambda for them all."""
        return 1, len(project.functions)

    def first(self, project: Project) -> Sequence[Command]:
        """Its only stage."""
        return [["zappa", "deploy", "dev"]]

    def again(self, project: Project) -> Sequence[Command]:
        """Its only stage."""
        return [["zappa", "update", "dev"]]
