"""Layers in the emulator: each is unpacked once, for all workers of all functions. Loaded by its launcher alone.

A worker is a process that runs one version of a function. ministack unpacks the layers again for each: for pyarrow that
is most of what a first invocation takes, and 150 MB per worker.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import zipfile
from pathlib import Path

_IS_LAYER = "layer_"  # how ministack begins the names of the folders that it unpacks layers into, and others not
_lock = threading.Lock()


class SharingZipFile(zipfile.ZipFile):
    """A zip whose layer is unpacked once, and linked to where it is wanted. As on AWS, no function may write there."""

    def extractall(self, path=None, members=None, pwd=None):  # type: ignore[no-untyped-def]
        """Unpack into ``path``, which exists: as zipfile does it, unless it is a layer."""
        wanted = Path(path or ".")
        if not wanted.name.startswith(_IS_LAYER):
            super().extractall(path, members, pwd)
            return
        for entry in self._unpacked().iterdir():
            (wanted / entry.name).symlink_to(entry)

    def _unpacked(self) -> Path:
        """The folder of this content, below the emulator's temporary folder, which ends with it."""
        with open(str(self.filename), "rb") as file:  # noqa: PTH123 - the path is ministack's
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        kept = Path(tempfile.gettempdir(), "layers", digest)
        with _lock:
            if not kept.exists():
                kept.parent.mkdir(exist_ok=True)
                beginning = Path(tempfile.mkdtemp(dir=kept.parent))
                super().extractall(beginning)
                os.replace(beginning, kept)  # noqa: PTH105
        return kept
