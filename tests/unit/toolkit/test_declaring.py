"""What a user writes wrongly into ``Lambda_script`` is told in words, before anything is asked of AWS."""

from __future__ import annotations

import pytest

from lambda_script import Lambda_script, ScheduleError, TriggerError


def test_a_schedule_that_is_no_text():
    with pytest.raises(ScheduleError, match="must be a text such as .* not 5"):
        Lambda_script("function.py", schedule=5)  # type: ignore[arg-type]


@pytest.mark.parametrize("trigger", [{"buckets": "b"}, {}, ["b"], "b"])
def test_a_trigger_that_is_none(trigger):
    with pytest.raises(TriggerError, match="s3_trigger takes `bucket`"):
        Lambda_script("function.py", s3_trigger=trigger)
