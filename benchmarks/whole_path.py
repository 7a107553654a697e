"""A table from the source to the warehouse, each function in a process of its own, as the functions run on Lambda.

The lake is a directory; source and warehouse are databases of one server of this machine. The functions run in an
environment with what they have on Lambda, thus without pandas and numpy.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.data_peers import FUNCTIONS
from benchmarks.loading_beside import Scene, python_with
from benchmarks.rounds import Contestant
from benchmarks.subjects import SEED, Subject
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import parse
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server
from lambda_toolkit.pipeline.warehouse.preparation import prepare

STEPS = ("extract", "transform", "load")
_TYPES = """
    SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute
    WHERE attrelid = CAST(:fact AS regclass) AND attnum > 1 AND NOT attisdropped ORDER BY attnum
"""


@contextmanager
def scene() -> Iterator[Scene]:
    """A server and a directory, both removed at the end."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        server = postgres_server.start(directory / "server")
        try:
            yield Scene(server, directory)
        finally:
            postgres_server.remove(directory / "server")


@dataclass(frozen=True)
class WholePath:
    """One table with so many rows in the source ``<name>_source``, and the template of its warehouse."""

    scene: Scene
    subject: Subject
    rows: int

    @property
    def name(self) -> str:
        """Of its folder; databases begin with it."""
        return f"{self.subject.name}_{self.rows}"

    @property
    def home(self) -> Path:
        """The folder of its lakes and its declaration."""
        return self.scene.directory / self.name

    @property
    def source(self) -> str:
        """The database with the rows."""
        return f"{self.name}_source"

    @property
    def warehouse(self) -> str:
        """The database that is loaded: a new copy of the template before each load."""
        return f"{self.name}_warehouse"

    def prepare(self) -> None:
        """Makes the rows, an empty warehouse, and the declaration."""
        template = f"{self.name}_empty"
        with self.scene.connect("postgres") as admin:
            for database in (self.source, template):
                admin.run(f"CREATE DATABASE {database}")
        with self.scene.connect(self.source) as source:
            source.run(self.subject.source_table)
            source.run(SEED)
            source.run(self.subject.insertion, rows=self.rows)
            source.run(f"VACUUM (FREEZE, ANALYZE) {self.subject.name}")
        with self.scene.connect(template) as warehouse:
            warehouse.run(self.subject.fact_table)
            found = warehouse.rows(_TYPES, fact=self.subject.fact)
            types = {name: {"type": kind, "required": required} for name, kind, required in found}
            document = self.subject.declaration(types)
            warehouse.run(f"DROP TABLE {self.subject.fact}")  # what it prepares itself has the index that load needs
            prepare(warehouse, self.subject.fact_table, parse(document))
        self.home.mkdir()
        (self.home / "tables.json").write_text(json.dumps(document), encoding="utf-8")
        (self.home / "lake").symlink_to("processed")

    def step(self, name: str) -> Contestant:
        """The function ``name`` of STEPS; each time from the beginning."""
        database = self.warehouse if name == "load" else self.source
        arguments = ["benchmarks.load_step"] if name == "load" else ["benchmarks.extract_step", name]
        return Contestant(
            name,
            [python_with(FUNCTIONS), "-m", *arguments, self.home],
            lambda: self._begin(name),
            self.scene.variables(database),
        )

    def remove(self) -> None:
        """Removes its files and databases."""
        shutil.rmtree(self.home)
        with self.scene.connect("postgres") as admin:
            for database in (self.source, self.warehouse, f"{self.name}_empty"):
                admin.run(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def _begin(self, step: str) -> None:
        if step == "load":
            self.scene.copy(f"{self.name}_empty", self.warehouse)
            return
        for lake in ("ingestion", "processed") if step == "extract" else ("processed",):
            shutil.rmtree(self.home / lake, ignore_errors=True)
