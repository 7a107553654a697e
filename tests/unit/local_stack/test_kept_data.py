"""The main job begins with nothing, and deletes nothing that a user kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.pipeline.commands.local import run
from lambda_toolkit.pipeline.local_stack.stack import has_kept_data, set_disposable


def main_job(root: Path, *options: str) -> tuple[int, str]:
    result = CliRunner().invoke(deploy.main, ["local", "run", "--config", str(root / "config/pipeline.toml"), *options])
    return result.exit_code, result.output


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The version file of a cluster's data directory, as `local down` leaves it. The job itself is not run."""
    monkeypatch.setattr(run, "_main_job", lambda *_: (0, None))
    version = tmp_path / ".local" / "postgres" / "data" / "PG_VERSION"
    version.parent.mkdir(parents=True)
    version.write_text("18", encoding="utf-8")
    return version


@pytest.mark.parametrize("options", [[], ["--keep"]])
def test_main_job_deletes_no_data_that_was_kept(kept: Path, tmp_path: Path, options: list[str]) -> None:
    code, output = main_job(tmp_path, *options)
    assert (code, kept.is_file()) == (1, True)
    assert "data that `local down` kept" in output and f"local down --wipe --config {tmp_path}" in output


def test_main_job_deletes_the_data_of_another(kept: Path, tmp_path: Path) -> None:
    """That of a main job which failed, and left it to be looked at."""
    set_disposable(tmp_path, True)
    assert not has_kept_data(tmp_path)
    assert main_job(tmp_path)[0] == 0
    assert not kept.exists()
