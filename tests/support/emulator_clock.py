"""The clock of the emulated AWS's schedules, rules and Scheduler's alike, in the hands of a test.

As a program it is the emulator's launcher (``emulator.LAUNCHER``), run by the emulator's interpreter: it starts the one
that is shipped, whose schedules then read the time from a file. So nothing but the standard library is imported here.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

STACK = Path(__file__).parents[2] / "lambda_toolkit" / "pipeline" / "local_stack"
SHIPPED = STACK / "aws_emulator" / "emulator_launcher.py"
FILE = "schedule-clock"  # beside the file with the speed; its text is `at SECONDS` or `ahead SECONDS`
STILL = 0.001  # the speed at which no schedule fires while tests run
GATHERING = 120  # seconds until the last of them sleeps, on a busy machine
PACE = 0.1  # real seconds of a second that is slept: the emulator looks each second, so several times in a minute


@dataclass
class ScheduleClock:
    """No time passes for the schedules from its creation on, but in :meth:`sleep` and :meth:`pass_until`.

    ``directory`` is the emulator's. Threads that sleep concurrently sleep through the same seconds.
    """

    step = 1.0  # seconds: what a deploy sleeps that waits for a firing; its other pauses are never just that long

    directory: Path
    at: float = field(init=False)
    """Seconds since 1970: at first the time of the schedules, which an earlier test may have moved, never earlier."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _together: threading.Barrier | None = None
    _asleep: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.at = float(int(now_of(self.directory / FILE)) + 1)
        self._write(f"at {self.at}")

    def wall(self) -> float:
        return self.at

    def gather(self, sleepers: int) -> None:
        """Let no time pass in sleep until so many threads sleep: they then saw the same moment when they began."""
        self._together, self._asleep = threading.Barrier(sleepers), set()

    def sleep(self, seconds: float) -> None:
        """As the deploy does it."""
        if seconds != self.step:
            time.sleep(seconds)
            return
        if self._together and threading.get_ident() not in self._asleep:
            self._asleep.add(threading.get_ident())
            self._together.wait(GATHERING)
        until = self.at + seconds
        time.sleep(seconds * PACE)
        self.pass_until(until)

    def pass_until(self, moment: float) -> None:
        """Let it be ``moment``, unless it is later."""
        with self._lock:
            if moment > self.at:
                self.at = moment
                self._write(f"at {moment}")

    def let_go(self) -> None:
        """Let time pass as it does, from here on: what was fired at a time is not fired at it again."""
        ahead = self.at - time.time()
        self._write(f"ahead {max(0.0, ahead)}")

    def _write(self, text: str) -> None:
        new = self.directory / f"{FILE}.new"
        new.write_text(text, encoding="utf-8")
        new.replace(self.directory / FILE)


def now_of(file: Path, real: Callable[[], float] = time.time) -> float:
    """The time by ``file``, and the real one where it does not exist."""
    try:
        kind, _, seconds = file.read_text(encoding="utf-8").partition(" ")
    except FileNotFoundError:
        return real()
    return float(seconds) if kind == "at" else real() + float(seconds)


def main() -> None:
    """Start the emulator as ever, with the time of schedules from the file."""
    [speed_file] = [argument.partition("=")[2] for argument in sys.argv if argument.startswith("--clock-speed-file=")]
    now = functools.partial(now_of, Path(speed_file).with_name(FILE))
    launcher = _load("emulator_launcher", SHIPPED)
    load: Callable[[Path], ModuleType] = launcher._load

    def load_with_clock(path: Path) -> ModuleType:
        module = load(path)
        if path.stem == "emulator_schedules":
            vars(module).update(install=functools.partial(module.install, now=now))
        return module

    vars(launcher).update(_load=load_with_clock)
    events, scheduler = (importlib.import_module(f"ministack.services.{name}") for name in ("eventbridge", "scheduler"))
    for module in (events, scheduler):
        vars(module).update(time=_with_clock(now))
    _forget_firings(events)
    launcher.main()


def _forget_firings(events: ModuleType) -> None:
    """Let a rule that is written count from then on, as on AWS. ministack fires one whose name fired before."""
    put: Callable[[dict[str, Any]], Any] = vars(events)["_put_rule"]
    fired: dict[tuple[str, str, str], float] = vars(events)["_rule_last_fired"]
    key_of: Callable[[str, str], str] = vars(events)["_rule_key"]

    def put_as_new(data: dict[str, Any]) -> Any:
        written = key_of(data.get("Name", ""), data.get("EventBusName", "default"))
        for key in [key for key in fired if key[2] == written]:
            del fired[key]
        return put(data)

    vars(events).update(_put_rule=put_as_new)


def _with_clock(now: Callable[[], float]) -> Any:
    """The module ``time`` with another time of the day."""
    found = ModuleType("time")
    vars(found).update({**vars(time), "time": now})
    return found


def _load(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path} cannot be loaded.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
