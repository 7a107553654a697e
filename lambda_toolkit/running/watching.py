"""Notice that files were saved, and do something once for each time: by polling their times and sizes.

Looking at a few hundred files takes a millisecond or two, needs no library, and works on file systems that send no
events, such as a container's mounts.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lambda_toolkit.packaging.excludes import is_excluded_file, is_excluded_folder
from lambda_toolkit.spec.model import FunctionSpec

POLL = 0.1  # seconds between two looks
_SETTLED = 0.03  # seconds without a further write: editors write a file in several steps
_MOST_LOOKS = 30  # until what is written without end counts as saved

Snapshot = Mapping[str, tuple[int, int]]
"""The time of the last write, in nanoseconds, and the size of each file."""


def files_of(spec: FunctionSpec) -> list[Path]:
    """The files and folders that the package of ``spec`` is built of."""
    extra = [content for content in spec.extra_files.values() if isinstance(content, Path)]
    return [spec.source, *spec.include, *extra]


def snapshot(places: Iterable[Path]) -> Snapshot:
    """The state of the files at ``places``, and of those in folders there that a package would have."""
    found: dict[str, tuple[int, int]] = {}
    for place in dict.fromkeys(map(os.path.abspath, places)):
        for path, state in _states(place):
            found[path] = (state.st_mtime_ns, state.st_size)
    return found


def _states(place: str) -> Iterator[tuple[str, os.stat_result]]:
    try:
        if not os.path.isdir(place):  # noqa: PTH112 - strings are faster, and this runs ten times a second
            yield place, os.stat(place)  # noqa: PTH116
            return
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not is_excluded_folder(entry.name):
                        yield from _states(entry.path)
                elif not is_excluded_file(entry.name):
                    yield entry.path, entry.stat()
    except OSError:
        return  # deleted meanwhile: it is missing in the snapshot


def watch(places: Callable[[], Iterable[Path]], act: Callable[[frozenset[str]], None], ended: threading.Event) -> None:
    """Call ``act``, and again after each change at ``places()``, until ``ended`` is set.

    ``act`` gets the paths that were written, created or deleted since its last call; at first, none. Saves while it
    runs, however many, are followed by one more call. ``places`` is asked before each look.
    """
    seen = snapshot(places())
    act(frozenset())
    while not ended.is_set():
        now = snapshot(places())
        if now == seen:
            ended.wait(POLL)
            continue
        now = _settled(places, now, ended)
        changed = frozenset(path for path in {*seen, *now} if seen.get(path) != now.get(path))
        seen = now
        if changed:
            act(changed)


def _settled(places: Callable[[], Iterable[Path]], now: Snapshot, ended: threading.Event) -> Snapshot:
    """The state once nothing is written any more."""
    for _ in range(_MOST_LOOKS):
        if ended.wait(_SETTLED):
            break
        later = snapshot(places())
        if later == now:
            break
        now = later
    return now
