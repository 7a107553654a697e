"""Keys, passwords and ports are generated once, and stored privately."""

import stat
from dataclasses import replace
from pathlib import Path

from lambda_toolkit.pipeline.local_stack import credentials


def test_they_are_the_same_as_long_as_they_are_kept(tmp_path: Path) -> None:
    first = replace(credentials.of(tmp_path), emulator_port=4566)
    credentials.keep(tmp_path, first)

    assert credentials.of(tmp_path) == first
    assert stat.S_IMODE((tmp_path / credentials.FILE).stat().st_mode) == 0o600
    (tmp_path / credentials.FILE).unlink()
    assert credentials.of(tmp_path).passwords != first.passwords


def test_each_user_has_a_password_of_its_own_that_is_not_shown(tmp_path: Path) -> None:
    access = credentials.of(tmp_path)

    assert len(set(access.passwords.values())) == len(access.passwords) == 3
    assert not any(secret in repr(access) for secret in [*access.passwords.values(), access.secret_access_key])
