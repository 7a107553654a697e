"""Wheels made for one test, so that nothing is downloaded."""

from __future__ import annotations

import zipfile
from pathlib import Path


def wheel(folder: Path, name: str, files: dict[str, str], tag: str = "py3-none-any", needs: str = "") -> str:
    """Make a wheel and return the requirement that asks for it."""
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-tool = {name}:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in content.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in (*content, f"{info}/RECORD")))
    return f"{name} @ {path.as_uri()}"
