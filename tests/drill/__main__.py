"""``make drill``: breaks what the runbook has, row by row, and prints when what was noticed and repaired."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

from tests.drill import runbook
from tests.drill.rows import ROWS
from tests.drill.site import running
from tests.drill.table import head, line
from tests.drill.trial import Times, provoke

LOG = 5000  # characters of the log that are shown where a row fails


def main() -> int:
    """Run the rows that are named, or all. Returns 0 where each did as the runbook says."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("causes", nargs="*", metavar="WORDS", help="Only the rows that have these words.")
    parser.add_argument("--write", action="store_true", help="Write their times into docs/runbook.md.")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also then, nothing is left running
    causes = runbook.causes(runbook.read())
    chosen = [
        row
        for row in ROWS
        if not arguments.causes or any(words.lower() in row.cause.lower() for words in arguments.causes)
    ]
    done: list[Times] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="drill-") as directory, running(Path(directory)) as site:
        for number, row in enumerate(chosen, 1):
            _say(f"[{number}/{len(chosen)}] {row.cause}")
            if not row.possible():
                _say("    not tried: only root may mount a small file system")
                continue
            try:
                done.append(provoke(site, row, causes[row.cause], lambda text: _say(f"    {text}")))
                if arguments.write:
                    _write(done)
            except Exception as error:
                failed.append(row.cause)
                traceback.print_exception(error)
                print(site.type("python deploy.py logs --since 3m", must_succeed=False)[-LOG:], file=sys.stderr)
                break  # what is broken would fail the later rows, too
    print("\n".join([*head(), *map(line, done)]))
    if failed:
        print(f"Failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _write(done: Iterable[Times]) -> None:
    times = {row.cause: line(row) for row in done}
    runbook.RUNBOOK.write_text(runbook.with_times(runbook.read(), head(), times), encoding="utf-8")


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
