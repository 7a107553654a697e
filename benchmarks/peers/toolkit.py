"""This repository: functions in one Python program, and functions in a configuration file."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from benchmarks.peers.peer import REPOSITORY, Command, Peer, Project, Site

_APP = """from lambda_script import Lambda_script, deploy_all

scripts = [
    Lambda_script(
        lambda_function_path=f"functions/{{name}}/handler.py",
        zip_file_name=f"build/{{name}}.zip",
        function_name_template=name,
        application="bench",
        schedule="{schedule}",
        memory={memory},
        timeout={timeout},
    )
    for name in {names}
]
report = deploy_all(scripts)
print(len(report.done), "changes")
"""
_OWN_SOURCE = r'[functions.\1]\nsource = "lambdas/\1"\ninclude = ["lambdas/shared"]\n'
_PIPELINE = """[pipeline]
name = "bench"
stage = "dev"
region = "eu-west-2"
[buckets]
[alerts]
topic = "bench-alerts"
emails = []
[secrets]
[alarms]
[source.kind]
key = "kind_id"
[warehouse.dim_kind]
kind = "dimension"
from = "kind"
key = "kind_id"
columns = { kind_id = "kind_id" }
"""
_WAREHOUSE = "CREATE TABLE dim_kind (kind_id integer PRIMARY KEY);\n"
_HOST = '\n[stages.dev.packages]\nplatform = "host"\nruntime = "host"\n'  # the emulator runs them on this machine
_CONFIG = ("--config", "config/pipeline.toml")
_FUNCTION = """[functions.{name}]
source = "functions/{name}"
memory = {memory}
timeout = {timeout}
schedule = "{schedule}"
"""


class Toolkit(Peer):
    """A program with ``Lambda_script`` objects that are deployed together."""

    name = "this toolkit, python app.py"
    repository = REPOSITORY

    def install(self) -> str:
        """Nothing to install: it is here."""
        return "this checkout" if self.repository == REPOSITORY else "another checkout"

    @property
    def variables(self) -> Mapping[str, str]:
        """Where it is imported from."""
        return {"PYTHONPATH": str(self.repository), "XDG_CACHE_HOME": str(self.cache)}

    def write(self, site: Site, project: Project) -> None:
        """The handlers and the program."""
        project.write_handlers(site.directory)
        app = _APP.format(
            schedule=project.schedule,
            memory=project.memory,
            timeout=project.timeout,
            names=list(project.functions),
        )
        (site.directory / "app.py").write_text(app, encoding="utf-8")

    def first(self, project: Project) -> Sequence[Command]:
        """The one command that there is."""
        return [[sys.executable, "app.py"]]


class Pipeline(Toolkit):
    """The command line ``deploy.py`` with a configuration file that declares the same functions."""

    name = "this toolkit, python deploy.py"
    quick_name = "python deploy.py deploy FUNCTION"

    def write(self, site: Site, project: Project) -> None:
        """The handlers and the configuration."""
        project.write_handlers(site.directory)
        values = {"memory": project.memory, "timeout": project.timeout, "schedule": project.schedule}
        functions = (_FUNCTION.format(name=name, **values) for name in project.functions)
        config = site.directory / "config" / "pipeline.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(_PIPELINE + "".join(functions), encoding="utf-8")
        (config.parent / "warehouse.sql").write_text(_WAREHOUSE, encoding="utf-8")

    def first(self, project: Project) -> Sequence[Command]:
        """Everything in the file."""
        return [self._deploy("deploy")]

    def quick(self, project: Project, function: str) -> Sequence[Command]:
        """One function of the file."""
        return [self._deploy("deploy", function)]

    def _deploy(self, *arguments: str) -> Command:
        return [sys.executable, self.repository / "deploy.py", *arguments, *_CONFIG]


class Totes(Toolkit):
    """The pipeline of this repository: three functions, and their buckets, trigger, layer, topic, alarms, secrets."""

    name = "the pipeline of this repository"

    @property
    def variables(self) -> Mapping[str, str]:
        """The databases, to which no process connects."""
        url = "postgresql://user:nothing@127.0.0.1:5432/nowhere"
        return {**super().variables, "SOURCE_DATABASE_URL": url, "WAREHOUSE_DATABASE_URL": url}

    def write(self, site: Site, project: Project) -> None:
        """A copy of the configuration and the functions, whose source it names."""
        for name in ("config", "lambdas"):
            shutil.copytree(REPOSITORY / name, site.directory / name, ignore=shutil.ignore_patterns("__pycache__"))
        config = site.directory / "config" / "pipeline.toml"
        named = re.sub(r"\[functions\.(\w+)\]\n", _OWN_SOURCE, config.read_text(encoding="utf-8"))
        config.write_text(named + _HOST, encoding="utf-8")

    def first(self, project: Project) -> Sequence[Command]:
        """All of it."""
        return [[sys.executable, REPOSITORY / "deploy.py", "deploy", *_CONFIG]]

    def expected(self, project: Project) -> tuple[int, int]:
        """One of the three is started by S3."""
        return 3, 2

    def edit(self, site: Site, project: Project, function: str, revision: int) -> None:
        """One line more in one handler."""
        with (site.directory / "lambdas" / "extract" / "handler.py").open("a", encoding="utf-8") as handler:
            handler.write(f"\nREVISION = {revision}\n")


def beside(kind: type[Toolkit], checkout: Path) -> type[Toolkit]:
    """``kind`` with the code of another ``checkout`` of this repository, by whose folder it is named."""
    place = f" in {checkout.name}"
    quick_name = kind.quick_name + place if kind.quick_name else None
    return cast(
        "type[Toolkit]",
        type(kind.__name__, (kind,), {"name": kind.name + place, "quick_name": quick_name, "repository": checkout}),
    )
