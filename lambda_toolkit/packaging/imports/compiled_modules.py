"""Whether a compiled module in a package can be imported on Lambda: for which Python and processor it was made.

Its name says so (PEP 3149: ``_x.cpython-312-x86_64-linux-gnu.so``), and else the first bytes of the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

SUFFIXES = (".so", ".pyd")
_TAGGED = re.compile(r"\.(?:cpython-|cp)(?P<python>3\d{1,2})(?:[a-z]*)?(?:-(?P<place>[\w.-]+))?\.(?:so|pyd)$")
_MACHINES = {"x86_64": ("x86_64", "amd64"), "arm64": ("aarch64", "arm64")}
_ELF = {62: "x86_64", 183: "arm64"}  # e_machine of the ELF header: elf(5)
_MACH_O = (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xce\xfa\xed\xfe")


@dataclass(frozen=True)
class Platform:
    """What Lambda runs a function on."""

    version: tuple[int, int]
    """Python's."""
    architecture: str
    """``x86_64`` or ``arm64``."""

    def __str__(self) -> str:
        """Such as ``Python 3.12 on Linux, x86_64``."""
        return f"Python {self.version[0]}.{self.version[1]} on Linux, {self.architecture}"


def is_compiled(file: str) -> bool:
    """Whether ``file`` is a compiled module or library."""
    return file.endswith(SUFFIXES)


def module_name(file: str) -> str:
    """The path of the module without its suffix: ``a/_x`` of ``a/_x.cpython-312-x86_64-linux-gnu.so``."""
    folder, _, name = file.rpartition("/")
    stem = name.partition(".")[0]
    return f"{folder}/{stem}" if folder else stem


def made_for(file: str, content: bytes, platform: Platform) -> str | None:
    """What ``file`` was compiled for, in words, where that is not ``platform``; otherwise ``None``."""
    if file.endswith(".pyd") or content.startswith(b"MZ"):
        return "Windows"
    if content.startswith(_MACH_O):
        return "macOS"
    found = _TAGGED.search(file)
    if found:
        place = found["place"] or ""
        if "darwin" in place:
            return "macOS"
        if "musl" in place:
            return "Linux with musl, as Alpine has it"
        python = (3, int(found["python"][1:]))
        if python != platform.version:
            return f"Python {python[0]}.{python[1]}"
        machine = place.partition("-")[0]
        if machine and machine not in _MACHINES[platform.architecture]:
            return f"Linux, {machine}"
    if content.startswith(b"\x7fELF") and len(content) > 20:
        machine = _ELF.get(int.from_bytes(content[18:20], "little"), "another processor")
        return None if machine == platform.architecture else f"Linux, {machine}"
    return None
