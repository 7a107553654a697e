"""The metrics of functions as Lambda puts them. Loaded by ``emulator_launcher``: nothing but the standard library here.

Each run counts, whatever started it, at the time of its start, for the function and for what was called of it: an alias
or a version. https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

NAMESPACE = "AWS/Lambda"
QUALIFIED = 7  # colons in the ARN of an alias or a version


@dataclass(frozen=True)
class Runs:
    """Functions of ministack, and what replaces them."""

    run: Callable[..., dict[str, Any]]
    find: Callable[[str], tuple[Any, Any, str]]
    points_of: Callable[[tuple[str, str, str]], list[dict[str, Any]]]
    key_of: Callable[[dict[str, str]], str]
    function_of: Callable[[str], tuple[Any, Any, str]]
    reserved: Callable[[dict[str, Any], dict[str, Any]], int | None]

    def run_and_count(
        self, function: dict[str, Any], config: dict[str, Any], event: Any, request: str, started: float
    ) -> dict[str, Any]:
        """Run the function once, and put its metrics. Returns what ministack makes of the run."""
        result = self.run(function, config, event, request, started)
        of, called = {"FunctionName": config["FunctionName"]}, config.get("FunctionArn", "").partition(":function:")[2]
        for dimensions in (of, {**of, "Resource": called}) if ":" in called else (of,):
            self._put(dimensions, "Invocations", 1, started)
            self._put(dimensions, "Errors", bool(result.get("error")), started)
            self._put(dimensions, "Throttles", 0, started)
            self._put(dimensions, "Duration", (time.time() - started) * 1000, started, "Milliseconds")
        return result

    def count_throttle(self, function_name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        """Count a throttled call, which is no run. Called for each call, and by Invoke once more, with a duration."""
        if throttle and not duration_ms:
            self._put({"FunctionName": function_name}, "Throttles", 1, time.time())

    def find_as_called(self, reference: str) -> tuple[Any, Any, str]:
        """A function that a rule, a bucket or a topic calls: with the ARN that they call, as Invoke has it, too."""
        record, config, name = self.find(reference)
        if config and reference.count(":") == QUALIFIED:
            config = {**config, "FunctionArn": reference}
        return record, config, name

    def reserved_for_all(self, function: dict[str, Any], config: dict[str, Any]) -> int | None:
        """The concurrency that is reserved for the function, which its versions and aliases share."""
        return self.reserved(self.function_of(config["FunctionArn"])[0] or function, config)

    def _put(self, of: dict[str, str], name: str, value: float, at: float, unit: str = "Count") -> None:
        points = self.points_of((NAMESPACE, name, self.key_of(of)))
        points.append({"Timestamp": at, "Value": float(value), "Unit": unit, "Dimensions": of})


def install(private: Callable[[ModuleType, str], Any]) -> None:
    """Put the metrics of each run, whatever started it; ``private`` gets a name of a module of ministack."""
    lambda_svc, cloudwatch = (
        importlib.import_module(f"ministack.services.{name}") for name in ("lambda_svc", "cloudwatch")
    )
    counted = Runs(
        run=private(lambda_svc, "_execute_function_dispatch"),
        find=private(lambda_svc, "_get_func_record_for_ref"),
        points_of=private(cloudwatch, "_metric_bucket"),
        key_of=private(cloudwatch, "_dims_key"),
        function_of=private(lambda_svc, "_get_base_func_record_for_ref"),
        reserved=private(lambda_svc, "_reserved_concurrency"),
    )
    private(lambda_svc, "_emit_lambda_metrics")
    vars(lambda_svc).update(
        _execute_function_dispatch=counted.run_and_count,
        _emit_lambda_metrics=counted.count_throttle,
        _get_func_record_for_ref=counted.find_as_called,
        _reserved_concurrency=counted.reserved_for_all,
    )
