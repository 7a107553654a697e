"""Runs a handler once, as Lambda's runtime does: the program of the process that a local invocation starts.

Uses the standard library and the syntax of Python 3.9 only: it runs on the runtime's Python, without site-packages.
Reads from standard input the JSON document of :func:`main`, and writes the outcome as JSON into the file descriptor
that its first argument names: ``{"result": ...}`` or ``{"errorType": ..., "errorMessage": ..., "stackTrace": [...]}``.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import time
import traceback
from typing import Any


class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html."""

    def __init__(self, values: dict[str, Any], deadline: float) -> None:
        self.function_name = values["name"]
        self.function_version = "$LATEST"
        self.invoked_function_arn = values["arn"]
        self.memory_limit_in_mb = str(values["memory"])
        self.aws_request_id = values["request_id"]
        self.log_group_name = values["log_group"]
        self.log_stream_name = values["log_stream"]
        self.identity = None
        self.client_context = None
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        """How long the function may still run."""
        return max(0, int((self._deadline - time.time()) * 1000))


class _FailedError(Exception):
    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def main() -> None:
    """Run ``{"handler", "paths", "event", "timeout", "started": path, "context": {...}}``."""
    request = json.loads(sys.stdin.buffer.read())
    answer = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    sys.path[:0] = request["paths"]
    sys.path += request["provided"]
    sys.argv = [""]
    _log_as_lambda(request["context"]["request_id"])
    try:
        handler = _handler(request["handler"])
        os.close(int(request["started"]))  # the time limit begins
        context = Context(request["context"], time.time() + request["timeout"])
        outcome = _called(handler, request["event"], context)
    except _FailedError as error:
        outcome = {"errorType": error.kind, "errorMessage": str(error), "stackTrace": []}
    except BaseException as error:
        outcome = _failure(error)
    sys.stdout.flush()
    sys.stderr.flush()
    json.dump(outcome, answer)
    answer.close()


def _handler(name: str) -> Any:
    module, _, function = name.rpartition(".")
    try:
        loaded = importlib.import_module(module.replace("/", "."))
    except ImportError as error:
        print(traceback.format_exc(), file=sys.stderr)
        raise _FailedError("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}") from None
    except SyntaxError as error:
        raise _FailedError("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}") from None
    if not hasattr(loaded, function):
        raise _FailedError("Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{module}'")
    return getattr(loaded, function)


def _called(handler: Any, event: Any, context: Context) -> dict[str, Any]:
    result = handler(event, context)
    try:
        return {"result": json.loads(json.dumps(result))}
    except (TypeError, ValueError) as error:
        raise _FailedError("Runtime.MarshalError", f"Unable to marshal response: {error}") from None


def _failure(error: BaseException) -> dict[str, Any]:
    print("".join(traceback.format_exception(type(error), error, error.__traceback__)), file=sys.stderr)
    if isinstance(error, SystemExit):
        return {"errorType": "Runtime.ExitError", "errorMessage": f"exit status {error.code}", "stackTrace": []}
    return {"errorType": type(error).__name__, "errorMessage": str(error), "stackTrace": []}


def _log_as_lambda(request_id: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    form = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t" + request_id + "\t%(message)s"
    handler.setFormatter(logging.Formatter(form, "%Y-%m-%dT%H:%M:%S"))
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    logging.getLogger().addHandler(handler)


if __name__ == "__main__":
    main()
