"""Files of the local stack are UTF-8, whatever the machine's language is."""

from __future__ import annotations

import io

import pytest


@pytest.fixture(autouse=True)
def no_encoding_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a text by its path says how it is encoded."""

    def named(encoding: str | None, stacklevel: int = 2) -> str:
        assert encoding, "the text would have another encoding on another machine"
        return encoding

    monkeypatch.setattr(io, "text_encoding", named)
