"""What ``init --from`` proposes for the three shapes, and a star by hand beside a mirror, through random days."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.lambdas.shared.model.declarations import CALENDAR
from lambda_toolkit.pipeline.lambdas.shared.postgres.connection import connect
from lambda_toolkit.pipeline.local_stack.source_comparison import compare
from tests.pipeline.proposal.conftest import database as database
from tests.pipeline.proposal.mirrored_project import Project
from tests.pipeline.proposal.test_star import url
from tests.pipeline.shapes.music import MUSIC
from tests.pipeline.shapes.random_source import RandomSource
from tests.pipeline.shapes.rental import RENTAL
from tests.pipeline.shapes.shape import Shape
from tests.pipeline.shapes.trading import TRADING

SHAPES = tuple(shape.in_public() for shape in (RENTAL, MUSIC, TRADING))


@pytest.fixture(params=SHAPES, ids=[shape.name for shape in SHAPES])
def shape(request):
    return request.param


@pytest.fixture
def initialized(shape, database, buckets, tmp_path):
    """Writes the project that init proposes, with these options; returns it with its source."""
    with contextlib.ExitStack() as stack:

        def create(*options: str) -> tuple[Project, RandomSource]:
            databases = database(), database()
            source, warehouse = (stack.enter_context(connect(each)) for each in databases)
            days = RandomSource(shape, source, 3)
            names = ("SOURCE_DATABASE_URL", "WAREHOUSE_DATABASE_URL")
            environ = dict(zip(names, map(url, databases), strict=True))
            folder = tmp_path / "project"
            arguments = ["init", str(folder), "--from", names[0], *options]
            result = CliRunner().invoke(deploy.main, arguments, env=environ)
            assert result.exit_code == 0, result.output
            return Project(folder, source, warehouse, environ, buckets), days

        yield create


def compared(shape: Shape):
    """Compares each table with SQL on the source: of a table whose rows may wait, this is not what it must have."""

    def compare_all(project: Project) -> None:
        declared, tables = project.declarations(), project.target().pipeline.tables["warehouse"]
        found = compare(declared, tables, project.source, project.warehouse)
        different = [table for table in found.tables if table.differences and table.table not in shape.waiting]
        assert different == []
        calendars = {name for name, table in declared.warehouse.items() if table.kind == CALENDAR}
        assert {text.partition(":")[0] for text in found.not_compared} <= calendars
        assert project.warehouse.rows("SELECT * FROM pipeline.rejected_value") == []

    return compare_all


def run_days(project: Project, days: RandomSource) -> None:
    project.prepare()
    project.run(compared(days.shape))
    for _ in range(3):
        days.change(50)
        project.run(compared(days.shape))


def test_proposed_star_equals_sql_through_random_days(initialized):
    project, days = initialized()
    run_days(project, days)
    assert len(project.declarations().source) == len(days.shape.tables)


def test_star_beside_a_mirror_equals_sql_through_random_days(initialized):
    """Source tables have the same name, or another one, in the star and in the mirror."""
    project, days = initialized("--mirror")
    path: Path = project.folder / "config" / "pipeline.toml"
    star = re.sub(r"^source\.", "", days.shape.config, flags=re.MULTILINE)
    before, after = star.split("\n[", 1)
    path.write_text(f"{path.read_text(encoding='utf-8')}\n[source]{before}\n[{after}", encoding="utf-8")
    (project.folder / "config" / "warehouse.sql").write_text(days.shape.warehouse_sql, encoding="utf-8")
    run_days(project, days)
    assert len(project.declarations().warehouse) >= len(days.shape.oracle) + len(days.shape.tables)
