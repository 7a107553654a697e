"""``local down`` on a stack that does not run, and what a start makes of a half that was lost."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lambda_toolkit.pipeline.local_stack import stack
from lambda_toolkit.pipeline.local_stack.aws_emulator import emulator
from lambda_toolkit.pipeline.local_stack.errors import LocalError
from lambda_toolkit.pipeline.local_stack.postgres import postgres_server


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """What ``local down`` leaves: the databases, the memory of the emulated AWS, and what was sent."""
    directory = tmp_path / ".local"
    for name in ("postgres/data", "emulator/state", "mail-sink", "slack-sink"):
        (directory / name).mkdir(parents=True)
    (directory / "postgres/data/PG_VERSION").write_text("18", encoding="utf-8")
    for name in ("stack.json", "processes.json"):
        (directory / name).write_text("{}", encoding="utf-8")
    return directory


def test_down_where_no_stack_was_says_and_makes_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    assert stack.down(tmp_path, wipe=True, on_progress=said.append) is False
    assert (said, list(tmp_path.iterdir())) == ([], [])


def test_down_keeps_the_data_and_forgets_the_processes(kept: Path) -> None:
    said: list[str] = []
    assert stack.down(kept.parent, on_progress=said.append) is False
    assert said == []
    assert {path.name for path in kept.iterdir()} == {"postgres", "emulator", "mail-sink", "slack-sink", "lock"}
    assert (kept / "postgres/data/PG_VERSION").is_file()


def test_down_with_wipe_leaves_nothing(kept: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also where the server's data is, which may be outside the folder."""
    outside = tmp_path_factory.mktemp("outside") / "home"
    outside.mkdir()
    (kept / "postgres" / "home").symlink_to(outside)
    assert stack.down(kept.parent, wipe=True) is False
    assert list(kept.parent.iterdir()) == [] and not outside.exists()
    assert stack.down(kept.parent, wipe=True) is False


def test_down_beside_another_command_is_refused(kept: Path) -> None:
    with stack._locked(kept), pytest.raises(LocalError) as refused:
        stack.down(kept.parent)
    assert str(refused.value) == (
        f"Another command is starting or stopping the local stack in {kept}. Wait until it is done."
    )
    assert (kept / "stack.json").is_file()


@pytest.mark.parametrize(
    ("lost", "killed", "said"),
    [
        ((), False, None),
        (("postgres", "emulator"), False, None),
        ((), True, "was killed before it saved its state: lake and warehouse start empty, the source stays"),
        (("emulator",), False, "The lake was lost: the warehouse starts empty, too, and the source stays"),
        (("postgres",), False, "The databases were lost: the lake starts empty, too"),
    ],
)
def test_lake_without_the_warehouse_starts_empty(
    kept: Path, monkeypatch: pytest.MonkeyPatch, lost: tuple[str, ...], killed: bool, said: str | None
) -> None:
    monkeypatch.setattr(postgres_server, "has_data", lambda _: "postgres" not in lost)
    monkeypatch.setattr(emulator, "lost_memory", lambda directory: {kept / "emulator": killed}[directory])
    if "emulator" in lost:
        (kept / "emulator/state").rmdir()
    lines: list[str] = []
    before = {path.name for path in kept.iterdir()}
    assert stack._lake_is_whole(kept, lines.append) is (said is None)
    assert [said in line for line in lines] == ([] if said is None else [True])
    removed = {"emulator", "mail-sink", "slack-sink"} if said else set()
    assert before - {path.name for path in kept.iterdir()} == removed


def test_server_of_another_is_not_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own = SimpleNamespace(host="127.0.0.1", port=5433)
    server: list[Any] = [SimpleNamespace(host="127.0.0.1", port=5433)]
    monkeypatch.setattr(postgres_server, "find", lambda directory: {tmp_path / "postgres": server[0]}[directory])

    def described(external: object = None) -> Any:
        return SimpleNamespace(external=external, directory=tmp_path, source_admin=own)

    assert stack.simulated_source(described()) is own
    with pytest.raises(LocalError, match="^The pipeline reads db.example.com/shop, which this stack did not start"):
        stack.simulated_source(described(SimpleNamespace(place="db.example.com/shop")))
    for other in (None, SimpleNamespace(host="127.0.0.1", port=5434), SimpleNamespace(host="::1", port=5433)):
        server[0] = other
        with pytest.raises(LocalError, match="^The server at 127.0.0.1:5433 is not the one that this stack started"):
            stack.simulated_source(described())
