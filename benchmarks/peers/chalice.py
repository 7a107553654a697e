"""AWS Chalice: decorated functions in one ``app.py``, deployed by direct calls, with a state file in ``.chalice``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from benchmarks.peers.peer import Command, Project, PythonPeer, Site

_HEAD = 'from chalice import Chalice, Rate\n\napp = Chalice(app_name="bench")\n'
_FUNCTION = """

@app.schedule(Rate({rate}, unit=Rate.MINUTES), name="{name}")
def {identifier}(event):
    return {{"function": "{name}", "revision": {revision}}}
"""


class Chalice(PythonPeer):
    """All functions of an app share its package: one that changes updates them all."""

    name = "chalice"
    requirements = ("chalice==1.34.0", "setuptools<81")

    def write(self, site: Site, project: Project) -> None:
        """The app and its settings."""
        self._write_app(site, project, {})
        config = {
            "version": "2.0",
            "app_name": "bench",
            "stages": {"dev": {"lambda_memory_size": project.memory, "lambda_timeout": project.timeout}},
        }
        (site.directory / ".chalice").mkdir(exist_ok=True)
        (site.directory / ".chalice" / "config.json").write_text(json.dumps(config), encoding="utf-8")
        (site.directory / "requirements.txt").touch()

    def edit(self, site: Site, project: Project, function: str, revision: int) -> None:
        """Another number in one function of the app."""
        self._write_app(site, project, {function: revision})

    def first(self, project: Project) -> Sequence[Command]:
        """The one command that there is."""
        return [["chalice", "deploy", "--stage", "dev"]]

    @staticmethod
    def _write_app(site: Site, project: Project, revisions: dict[str, int]) -> None:
        functions = (
            _FUNCTION.format(rate=project.rate, name=name, identifier=name, revision=revisions.get(name, 1))
            for name in project.functions
        )
        (site.directory / "app.py").write_text(_HEAD + "".join(functions), encoding="utf-8")
