"""The lock of the requirements: versions and hashes, in the layer's name, refused where they do not fit, dated."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import deploy
from lambda_toolkit.errors import PackageError
from lambda_toolkit.packaging.layer_zip import build_layer, layer_of
from lambda_toolkit.pipeline.commands.shared import options
from lambda_toolkit.pipeline.config import lock_file
from lambda_toolkit.pipeline.config.aws.deployment import deployment
from lambda_toolkit.pipeline.config.load import load
from lambda_toolkit.pipeline.config.model import Pipeline
from lambda_toolkit.pipeline.errors import ConfigurationError, UsageError
from lambda_toolkit.pipeline.installed import DEFAULT_PATH, STARTER
from lambda_toolkit.spec.model import HOST_PLATFORM, FunctionSpec
from tests.support.wheels import wheel

ACCOUNT = "123456789012"
HASH = "--hash=sha256:" + "0" * 64


@pytest.fixture
def pipeline() -> Pipeline:
    return load(DEFAULT_PATH)


def relocked(pipeline: Pipeline, path: Path, change: str, into: str) -> Pipeline:
    """The pipeline with a copy of its lock in which ``change`` is replaced."""
    assert pipeline.lock is not None
    text = pipeline.lock.read_text(encoding="utf-8")
    assert change in text
    path.write_text(text.replace(change, into, 1), encoding="utf-8")
    return replace(pipeline, lock=path)


def test_functions_have_the_locked_versions_and_their_hashes(pipeline: Pipeline, tmp_path: Path) -> None:
    extract = deployment(pipeline, ACCOUNT, {}).functions[0]
    assert {line.partition("==")[0] for line in extract.requirements} >= {"pg8000", "pyarrow", "scramp"}
    assert all("--hash=sha256:" in line and "==" in line for line in extract.requirements)

    first = extract.requirements[0].rpartition("--hash=sha256:")[2]
    other = deployment(relocked(pipeline, tmp_path / "lock", first, "0" * 64), ACCOUNT, {}).functions[0]
    layers = [layer_of(spec) for spec in (extract, other)]
    assert len({layer.name for layer in layers if layer}) == 2, "another file is another layer"


def test_starter_has_the_same_lock(pipeline: Pipeline) -> None:
    assert pipeline.lock is not None
    assert (STARTER / "requirements.lock").read_bytes() == pipeline.lock.read_bytes()


@pytest.mark.parametrize(
    ("change", "into", "says"),
    [
        ("for the requirements ", "for the requirements 0", "was not made for the requirements of"),
        ("# Locked", "# locked", "was not made for the requirements of"),
        ("pg8000==", "unlocked==1\npg8000==", "has no hash for unlocked==1"),
    ],
)
def test_lock_that_does_not_fit_is_refused(
    pipeline: Pipeline, tmp_path: Path, change: str, into: str, says: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"{says}.* lock$"):
        deployment(relocked(pipeline, tmp_path / "lock", change, into), ACCOUNT, {})


def test_missing_lock_and_nothing_to_lock_are_reported(pipeline: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be read \(.*No such file.*lock$"):
        lock_file.read_lock(replace(pipeline, lock=tmp_path / "nowhere"))
    with pytest.raises(UsageError, match=r"has no `requirements` and `lock`"):
        lock_file.write_lock(replace(pipeline, lock=None), date(2026, 1, 1))


@pytest.mark.parametrize("text", [b"\xff", b"# Locked on\n-r other.txt\n"])
def test_file_that_is_no_lock_is_named(pipeline: Pipeline, tmp_path: Path, text: bytes) -> None:
    (tmp_path / "lock").write_bytes(text)
    with pytest.raises(ConfigurationError, match=r"`lock` names .*lock, which cannot be read \(.*\). Run: "):
        lock_file.read_lock(replace(pipeline, lock=tmp_path / "lock"))


@pytest.mark.parametrize(
    ("runtimes", "python"),
    [((), "3.11"), (("3.13", "3.12"), "3.11"), (("3.13", "3.10"), "3.10"), (("3.9", "3.10"), "3.9")],
)
def test_lock_that_is_written_is_read(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtimes: tuple[str, ...], python: str
) -> None:
    """For the oldest Python that a function or this machine has; as long as the same is required, in any order."""
    asked: list[object] = []

    def lock(requirements: tuple[str, ...], *, python: str) -> str:
        asked.append((requirements, python))
        return f"a==1 {HASH}\nb==2 {HASH}\n"

    monkeypatch.setattr("lambda_script.lock_requirements", lock)
    one = pipeline.functions["load"]
    functions = {each: replace(one, spec=replace(one.spec, runtime=f"python{each}")) for each in runtimes}

    def requiring(*requirements: str) -> Pipeline:
        common = replace(pipeline.common, requirements=requirements)
        return replace(pipeline, common=common, functions=functions, lock=tmp_path / "new/folder/lock")

    for _ in range(2):
        assert lock_file.write_lock(requiring("a", "b"), date(2026, 1, 2)) == tmp_path / "new/folder/lock"
    assert asked == [(("a", "b"), python)] * 2
    written = lock_file.Lock(date(2026, 1, 2), (f"a==1 {HASH}", f"b==2 {HASH}"))
    assert lock_file.read_lock(requiring("b", "a", "a")) == written
    with pytest.raises(ConfigurationError, match="was not made for the requirements"):
        lock_file.read_lock(requiring("a"))
    with pytest.raises(UsageError, match="has no `requirements` and `lock`"):
        lock_file.write_lock(requiring(), date(2026, 1, 2))
    file = tmp_path / "new/folder/lock"
    file.write_text(file.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    with pytest.raises(ConfigurationError, match="has no hash for anything"):
        lock_file.read_lock(requiring("a", "b"))
    with pytest.raises(ConfigurationError, match=r"The lock .* cannot be written: Not a directory|File exists"):
        lock_file.write_lock(replace(requiring("a"), lock=file / "below"), date(2026, 1, 2))


def test_functions_with_the_same_requirements_are_locked(pipeline: Pipeline) -> None:
    lock = lock_file.Lock(date(2026, 1, 2), (f"a==1 {HASH}",))
    same = replace(pipeline.common, requirements=("a",))
    of = replace(pipeline, common=same)
    assert lock_file.locked(same, of, lock) == replace(same, requirements=lock.requirements)
    assert lock_file.locked(same, of, None) == same
    own = replace(same, requirements=("b",))
    assert lock_file.locked(own, of, lock) == own


def test_plan_notes_an_old_lock_and_what_is_not_locked(pipeline: Pipeline) -> None:
    lock = lock_file.read_lock(pipeline)
    assert lock is not None
    assert deployment(pipeline, ACCOUNT, {}, lock.made_on + timedelta(days=90)).notes == ()
    [old] = deployment(pipeline, ACCOUNT, {}, lock.made_on + timedelta(days=91)).notes
    assert "lock of the requirements is 91 days old" in old

    extract = pipeline.functions["extract"]
    own = replace(extract, spec=replace(extract.spec, requirements=("requests>=2",)))
    changed = replace(pipeline, functions={**pipeline.functions, "extract": own})
    notes = deployment(changed, ACCOUNT, {}, lock.made_on).notes
    assert notes == (
        "the requirements of totes-dev-extract are not locked by hash: name a file as `lock` in [packages]",
    )


def test_file_with_another_hash_is_not_installed(tmp_path: Path) -> None:
    """Whoever replaces a file in the package index changes its hash."""
    requirement = wheel(tmp_path, "locked", {"locked.py": "x = 1\n"})
    [file] = tmp_path.glob("*.whl")
    right = f"--hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    for given, fits in ((right, True), (HASH, False), ("", False)):
        lines = (f"{requirement} {given}", *([f"other==1 {HASH}"] if not given else []))
        spec = layer_of(FunctionSpec("f", tmp_path / "f.py", requirements=lines, platform=HOST_PLATFORM))
        assert spec is not None
        if fits:
            assert build_layer(spec, tmp_path / "cache").unzipped > 0
        else:
            with pytest.raises(PackageError, match=r"(?s)cannot be installed.*hash"):
                build_layer(spec, tmp_path / "cache")


def test_lock_says_what_it_wrote(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pipeline: Pipeline) -> None:
    (tmp_path / "lock").write_text("a==1 --hash=1\nb==2\n", encoding="utf-8")
    today = datetime.now(UTC).date()

    def written(of: Pipeline, day: date) -> Path:
        assert of is pipeline and timedelta(0) <= day - today <= timedelta(1)
        return tmp_path / "lock"

    target = SimpleNamespace(pipeline=pipeline, is_local=False)
    monkeypatch.setattr(options, "choose", lambda *_: target)
    monkeypatch.setattr(lock_file, "write_lock", written)
    said = CliRunner().invoke(deploy.main, ["lock"]).stdout
    assert said.startswith(f"Locked 2 distributions in {tmp_path / 'lock'}.")
    document = json.loads(CliRunner().invoke(deploy.main, ["lock", "--json"]).stdout)
    assert document == {"written": str(tmp_path / "lock"), "distributions": 2}
