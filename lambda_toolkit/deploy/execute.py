"""Apply the changes of a plan: in dependency order, in parallel. A failure stops only what depends on it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace

from lambda_toolkit.aws.client import WRITERS, Aws
from lambda_toolkit.aws.interrupts import deferred_interrupts
from lambda_toolkit.changes import Change, Failure, Key, Plan, Progress, Report, State
from lambda_toolkit.errors import Advice, ToolkitError


def execute(aws: Aws, plan: Plan, on_progress: Callable[[Progress], None] | None = None) -> Report:
    """Apply the changes of ``plan`` and report. A change whose dependency failed is skipped; all others are applied.

    On Ctrl-C no further change is started, and KeyboardInterrupt is raised once those under way have ended.
    ``on_progress`` is called from this thread. Each ToolkitError becomes a failure in the report; anything else is
    raised once the running changes have ended.
    """
    for artifact in plan.artifacts:
        artifact.write()
    with deferred_interrupts(aws.clock.interrupted):
        report = _Execution(aws, plan, on_progress or (lambda _: None)).run()
    if aws.clock.interrupted.is_set():  # the caller's handler of SIGINT did not raise
        raise KeyboardInterrupt
    return report


_POLL = 0.5  # seconds after which an interruption is noticed while changes run


class _Execution:
    def __init__(self, aws: Aws, plan: Plan, on_progress: Callable[[Progress], None]) -> None:
        self._aws = aws
        self._on_progress = on_progress
        self._waiting = {change.key: change for change in plan.changes}
        self._total = len(self._waiting)
        self._running: dict[Future[str | None], Change] = {}
        self._done: list[Change] = []
        self._failed: list[Failure] = []
        self._skipped: list[Failure] = []

    def run(self) -> Report:
        self._aws.clock.interrupted.clear()
        if self._waiting:
            with ThreadPoolExecutor(min(WRITERS, self._total), thread_name_prefix="deploy") as pool:
                try:
                    self._start_ready(pool)
                    while self._running:
                        ended, _ = wait(self._running, _POLL, FIRST_COMPLETED)
                        for future in ended:
                            self._finish(self._running.pop(future), future)
                        self._start_ready(pool)
                except BaseException:
                    self._aws.clock.interrupted.set()  # running changes end soon; the pool waits for them
                    pool.shutdown(wait=False, cancel_futures=True)  # queued ones are not started
                    raise
        if self._waiting and not self._aws.clock.interrupted.is_set():
            names = ", ".join(f"{kind} {name}" for kind, name in self._waiting)
            raise ToolkitError(f"These changes wait for each other: {names}.")
        return Report(tuple(self._done), tuple(self._failed), tuple(self._skipped))

    def _start_ready(self, pool: ThreadPoolExecutor) -> None:
        moved = not self._aws.clock.interrupted.is_set()
        while moved:
            moved = False
            for change in list(self._waiting.values()):
                failed = self._failed_dependency(change)
                if failed:
                    del self._waiting[change.key]
                    failure = Failure(change, f"{failed[0]} {failed[1]} failed first")
                    self._skipped.append(failure)
                    self._report(change, "skipped", failure.message)
                    moved = True
                elif not self._has_pending_dependency(change):
                    del self._waiting[change.key]
                    self._report(change, "started")
                    self._running[pool.submit(change.apply, self._aws)] = change

    def _failed_dependency(self, change: Change) -> Key | None:
        failed = {failure.change.key for failure in (*self._failed, *self._skipped)}
        return next((key for key in sorted(change.after) if key in failed), None)

    def _has_pending_dependency(self, change: Change) -> bool:
        pending = set(self._waiting) | {running.key for running in self._running.values()}
        return bool(change.after & pending)

    def _finish(self, change: Change, future: Future[str | None]) -> None:
        error = future.exception()
        if error is None:
            result = future.result() or ""
            done = replace(change, details=(*change.details, result)) if result else change
            self._done.append(done)
            self._report(done, "done", result)
        elif isinstance(error, ToolkitError):
            self._failed.append(Failure(change, str(error), error.advice))
            self._report(change, "failed", str(error), error.advice)
        else:
            raise error

    def _report(self, change: Change, state: State, message: str = "", advice: Advice | None = None) -> None:
        finished = len(self._done) + len(self._failed) + len(self._skipped)
        self._on_progress(Progress(change, state, finished, self._total, message, advice))
