"""What is said of a ``pipeline.toml`` with mistakes: each once, at its place; and what is no mistake."""

from __future__ import annotations

import errno
import io
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from lambda_toolkit.pipeline.config.aws.deployment import SCHEMA, schema_sql
from lambda_toolkit.pipeline.config.database_url import _read as read_file
from lambda_toolkit.pipeline.config.lock_file import write_lock
from lambda_toolkit.pipeline.config.mirror import MIRROR_FILE, Mirror, MirrorColumn, MirrorTable, read_mirror, to_json
from lambda_toolkit.pipeline.config.project import Tables, write_project
from lambda_toolkit.pipeline.errors import ConfigurationError
from tests.unit.commands.test_load_values import ALERTS, LEAST, PIPELINE, REPORT, TABLES, loaded

SOURCE = '[source.item]\nkey = "item_id"\n'
ALARM = "\n[alarms.a]\nmetric = 'm'"
ALARMED = "alarms = 'b'\n[functions.own]\nsource = 'a.py'\nalarms = ['a']" + ALARM
HEARS = "\n[functions.hears]\nsource = 'a.py'\ntopic_trigger = ['{}']"
BELOW = "\n[functions.{}]\nsource = 'a.py'\ns3_trigger = {{ bucket = 'lake', prefix = '{}/' }}"


def problems(folder: Path, text: str) -> list[str]:
    try:
        loaded(folder, text)
    except ConfigurationError as refused:
        place = f"{folder / 'config' / 'pipeline.toml'}: "
        lines = str(refused).splitlines()
        assert all(line.startswith(place) for line in lines)
        return [line.removeprefix(place) for line in lines]
    return []


def having(place: str, keys: str) -> str:
    """The file with the least, with ``keys`` in its table ``place``; tables that follow them are added."""
    head, (own, *more) = f"[{place}]\n", keys.split("\n[")
    text = LEAST.replace(head, f"{head}{own}\n") if head in LEAST else f"{LEAST}{head}{own}\n"
    return text + "".join(f"[{table}\n" for table in more)


def begin_as(found: list[str], said: str, place: str = "") -> bool:
    """Whether each problem begins as ``said`` has it: ``|`` is between two, and ``place`` is that of most."""
    expected = [text if text[:1] == "[" or not place else f"[{place}] {text}" for text in said.split("|") if said]
    assert [line[: len(each)] for line, each in zip(found, expected, strict=True)] == expected
    return True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"pipeline = 3\n{ALERTS}{REPORT}{TABLES}", "the file `pipeline` must be a table, not 3.|[pipeline] lacks"),
        (ALERTS + REPORT + TABLES, "the file lacks the table [pipeline]."),
        (LEAST.replace('region = "eu-west-2"\n', ""), "[pipeline] lacks the key `region` (a string), and AWS_REGION"),
        (f"stages = 3\n{LEAST}", ""),
        (f"{LEAST}[stages]\ndev = 3\n", ""),
        (f"source = 3\n{LEAST.replace(SOURCE, '')}", "the file `source` must be a table of tables, not 3."),
        (LEAST.replace(SOURCE, ""), "the file lacks the table [source]."),
        (LEAST.replace(SOURCE, "[source]\n"), "the file lacks the table [source]."),
        (
            f"warehouse = 3\n{PIPELINE}{ALERTS}{REPORT}{SOURCE}",
            "the file `warehouse` must be a table of tables, not 3.",
        ),
        (f"functions = 3\n{LEAST.replace(REPORT, '')}", "the file `functions` must be a table of tables, not 3."),
        (f"[functions]\nload = 3\n{LEAST.replace(REPORT, '')}", "[functions.load] must be a table, not int."),
        (LEAST.replace('"item_id" }', '"len(x)" }'), "[warehouse.dim_item] column `item_id` = 'len(x)': there is no"),
        (
            LEAST.replace('"item_id" }', '"len(x)" }') + "extra = 1\n[source.other]\nkey = 'id'\ndeletes = 'x'\n",
            "[warehouse.dim_item] contains the unknown key `extra`.|[source.other] `deletes` must be",
        ),
        (
            LEAST.replace("[warehouse.dim_item", "[warehouse]\nmirror = ['*']\n[warehouse.log"),
            "[warehouse] `mirror`: [warehouse] `mirror` and [warehouse.log] give two tables the name log.",
        ),
    ],
)
def test_mistake_of_the_whole_file_is_said_once(tmp_path: Path, text: str, said: str) -> None:
    column = MirrorColumn("id", "id", "integer", required=True)
    mirror = to_json(Mirror((MirrorTable("log", "log", ("id",), "record_id", (column,)),)))
    (tmp_path / MIRROR_FILE).parent.mkdir()
    (tmp_path / MIRROR_FILE).write_text(mirror, encoding="utf-8")
    assert begin_as(problems(tmp_path, text), said)
    assert begin_as(problems(tmp_path, having("warehouse", "mirror = ['*', 3]")), "[warehouse] `mirror` must be a list")


@pytest.mark.parametrize(
    ("place", "keys", "said"),
    [
        *(
            ("alerts", "emails = ['a@b', 'a@b.c d', 'a@b.c']", "`emails` contains 'a@b',|`emails` contains 'a@b.c d',"),
            ("alerts", "kms_key = 'key:arn:'", "`kms_key` must be the ARN of a key of your own"),
            ("alerts", "kms_key = ''", ""),
            ("alerts", "alarms = 'b'", ""),
            ("alerts", ALARMED, "`alarms` is a topic that nothing receives"),
            ("alerts", ALARMED + HEARS.format("alerts"), "`alarms` is a topic that nothing receives"),
            ("alerts", ALARMED + HEARS.format("alarms"), ""),
            ("functions.report", "alarms = ['a']" + ALARM, ""),
            (
                "lake",
                HEARS.format("alarms"),
                "[alerts] lacks the key `alarms`, the topic that starts the function hears.",
            ),
            ("pipeline", "permissions_boundary = 'limits'", "permissions_boundary `limits`"),
            ("pipeline", "log_level = 'WARN'", "log_level"),
            ("pipeline", "system_log_level = 'WARN'", "system_log_level"),
            ("pipeline", "log_format = 'JSON'\nlog_level = 'LOW'", "log_level"),
            ("pipeline", "log_retention_days = 2", "log_retention_days 2 is not one of"),
            ("pipeline", "tags = { 'aws:a' = 'b' }", "tag `aws:a`: "),
            ("packages", "runtime = 'python2'", "runtime `python2`"),
            ("vpc", "subnets = ['subnet-1']", "vpc has `subnets` and no `security_groups`"),
        ),
        *(
            ("load", "connections = 65", "`connections` must be from 1 to 64, not 65."),
            ("extract", "readers = -1\nreader_rows = 0", "`readers` must|`reader_rows` must"),
            ("extract", "readers = 501\nreader_rows = 1\n[functions.extract]", "`readers` must be from 0 to 500"),
            ("extract", "readers = 500\n[functions.extract]", ""),
            ("extract", "readers = 2", "`readers` deploys the function reader as extract is declared"),
            ("extract", "readers = 2\n[functions.extract]\n[functions.reader]\nsource = 'a'", "`readers` deploys"),
            ("transform", "workers = -1", "`workers` must be from 0 to 500, not -1."),
            ("transform", "part_rows = 0", "`part_rows` must be 1 or more"),
            ("transform", "workers = 501\n[functions.transform]", "`workers` must be from 0 to 500, not 501."),
            ("transform", "workers = 500\n[functions.transform]\nconcurrency = 501", ""),
            ("transform", "workers = 2\n[functions.transform]\nconcurrency = 'unreserved'", ""),
            (
                "transform",
                "workers = 2\n[functions.transform]\nconcurrency = 2",
                "[functions.transform] `concurrency` must",
            ),
            ("transform", "workers = 2", "`workers` are invocations of [functions.transform], which"),
            ("backfill", "engine = 'glue'\nworkers = 1", "lacks the key `role`|`workers` must"),
            (
                "backfill",
                "engine = 'emr-serverless'\nrole = 'r'\nworkers = 501",
                "lacks the key `application`|`workers`",
            ),
            ("backfill", "engine = 'emr-serverless'\napplication = 'a'", "lacks the key `role`"),
            ("backfill", "engine = 'local-spark'\nworkers = 2", ""),
            (
                *("backfill", "zz = 1\nyy = 2"),
                "contains the unknown key `yy`. Known here: application, engine, python, role, workers.|"
                "contains the unknown key `zz`. Known here: application, engine, python, role, workers.",
            ),
        ),
        *(
            ("functions.report", "reads = ['r/a']\nwrites = ['w/a']", "names `r`|names `w`"),
            (
                "functions.report",
                "sweeps = ['s/a']",
                "names `s`, which [buckets] does not declare. Declared there: nothing.",
            ),
            (
                "functions.report",
                "alarms = ['b']" + ALARM + ALARM.replace("a]", "xy]"),
                "names `b`, which [alarms] does not declare. Declared there: a, xy.",
            ),
            ("functions.report", "s3_trigger = { bucket = 't' }", "names `t`, which [buckets] does not"),
            ("functions.report", "alarms = ['t']", "names `t`, which [alarms] does not declare."),
            ("functions.report", "secret = ['t']", "names `t`, which [secrets] does not declare."),
            ("functions.report", "schedule = [{ expression = 'often' }]", "`schedule`: "),
            ("functions.report", "schedule = 3", "`schedule` must be a string, a table, or a list of tables, not 3."),
            ("functions.report", "environment = { AB = 'b', CD = 3 }", "`environment` must be a table of s"),
            ("functions.report", "alarms = ['a', 3]", "`alarms` must be a list of strings, not ['a', 3]."),
            ("functions.report", "secret = ['a', 3]", "`secret` must be a string, or a list of strings,"),
            ("functions.report", "concurrency = 'often'", "`concurrency` must be an integer or one of unr"),
            ("functions.report", "tracing = 'On'", "`tracing` must be one of Active, PassThrough, "),
            ("functions.report", "snapstart = 1", "`snapstart` must be true or false, not 1."),
            ("functions.report", "log_group = '{team}'", "'{team}' contains an|log_group"),
            ("functions.report", "timeout = 10000", "timeout 10000 is outside 1 to"),
            ("functions.report", "memroy = 1\nretries = 3", "contains the|retries 3 is"),
            ("functions.report", "memroy = 1\non_failure = 'lake'\n[buckets]\nlake = 'lake'", "contains the"),
            ("functions.report", "memroy = 1\ncanary = {}\nalarms = ['a']" + ALARM, "contains the"),
            (
                *("functions.report", "queue_trigger = { queue = 'q', filters = [{ a = ['b'] }, 'c'] }"),
                "[functions.report.queue_trigger] `filters` must be a list of tables with any keys",
            ),
            (
                *("functions.report", "queue_trigger = [{ queue = 'q' }, { queue = 'r', many = 1 }]"),
                "[functions.report.queue_trigger.2] contains the unknown key `many`.",
            ),
            (
                *("functions.report", "queue_trigger = [{ que = 'q' }]"),
                "[functions.report.queue_trigger] lacks the key `queue` (a string). Is `que` meant for it?|"
                "[functions.report.queue_trigger] contains the unknown key `que`. Did you mean `queue`?|"
                "its trigger names no queue",
            ),
            (
                *("pipeline", "permissions_boundary = '{team}'"),
                "[functions.report] '{team}' contains an|[functions.report] permissions_boundary",
            ),
        ),
        *(
            ("alarms.a", "metric = 'm'\nbelow = 1\nthreshold = 1", "has both a `threshold` to reach and a limit to"),
            ("alarms.a", "metric = 'm'\nbelow = 1\nmissing_data = 'missing'", "has `below`, for which periods with"),
            ("functions.report", "alarms = ['a']" + ALARM + "\nperiod = 61", "[alarms.a] alarm `a`: period 61"),
            ("buckets", "lake = 3", "[buckets.lake] must be a table, not int."),
            ("buckets", "lake = 'Lake'", "[buckets] `lake`: Bucket `Lake`: its name must be"),
            ("buckets", "lake = '{team}'", "[buckets] `lake`: '{team}' contains an unknown placeholder"),
            ("buckets.lake", "name = 'lake'\nkms_key = 'key:arn:'", "`kms_key` must be the ARN of a key"),
            ("cloudwatch_dashboard", "name = 'a b'", "[cloudwatch_dashboard] "),
            ("cloudwatch_dashboard", "name = '{team}'", "'{team}' contains an unknown placeholder"),
            ("warehouse", "engine = 'mysql'", "`engine` must be one of"),
            ("warehouse", "file = 'a'", "[warehouse.file] must be a table, not str."),
            ("warehouse", "mirror = 3", "`mirror` must be a list"),
            ("warehouse", "engine = 'duckdb'\npath = ''", "`path` must be the name of a file."),
            ("warehouse", "engine = 'duckdb'\npath = 'a/'", "`path` must be the name of a file."),
            ("warehouse", "engine = 'duckdb'\npath = 3", "`path` must be a string, not 3.|`path` must"),
            ("warehouse", "path = 3", "`path` must be a string, not 3."),
            ("warehouse", "path = 'a'", '`path` names a DuckDB file: it needs `engine = "duckdb"`.'),
            (
                *(
                    "buckets",
                    "lake = 'lake'" + BELOW.format("x", "a") + BELOW.format("y", "b") + BELOW.format("z", "a"),
                ),
                "[functions.z] `s3_trigger`: ",
            ),
            ("buckets", "lake = 'lake'" + BELOW.format("x", "a") + BELOW.format("y", "b") + BELOW.format("z", "c"), ""),
        ),
    ],
)
def test_each_mistake_is_said_once_at_its_place(tmp_path: Path, place: str, keys: str, said: str) -> None:
    assert begin_as(problems(tmp_path, having(place, keys)), said, place)


RULE = "[buckets.lake] `lifecycle` rule `a`"
BOTH = f"{RULE}: `transition_days` and `storage_class` need each other."


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ("{}", f"{RULE} does nothing: give it one of abort_uploads_days, non"),
        (
            "{expire_days = 0}, {noncurrent_days = 1}",
            f"{RULE}: `expire_days` 0 must be 1 or more.|[buckets.lake] `lifecycle` has two rules called `a`.",
        ),
        (
            "{noncurrent_days = 0, abort_uploads_days = -1}",
            f"{RULE}: `abort_uploads_days` -1 must|{RULE}: `noncurrent_days` 0 must",
        ),
        ("{transition_days = 0}", f"{RULE}: `transition_days` 0 must be|{BOTH}"),
        ("{storage_class = 'GLACIER'}", f"{RULE} does nothing|{BOTH}"),
    ],
)
def test_rule_of_a_bucket_does_something_after_some_days(tmp_path: Path, rules: str, said: str) -> None:
    named = rules.replace("{}", "{name = 'a'}").replace("{", "{name = 'a', ").replace("{name = 'a', name", "{name")
    assert begin_as(problems(tmp_path, having("buckets.lake", f"name = 'lake'\nlifecycle = [{named}]")), said)


def test_files_are_utf_8_whatever_the_machine_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the encoding of files is Latin-1 where the code names none."""
    monkeypatch.setattr(io, "text_encoding", lambda encoding, _=2: encoding or "latin-1")
    pipeline = loaded(tmp_path, LEAST + ALARM[1:] + "\n" + 'description = "é"\n')
    assert pipeline.alarms["a"].description == "é"
    (tmp_path / SCHEMA).write_bytes("-- é".encode())
    assert schema_sql(pipeline) == "-- é"
    column = MirrorColumn("é", "é", "integer", required=True)
    mirror = Mirror((MirrorTable("é", "é", ("é",), "r", (column,)),))
    (tmp_path / MIRROR_FILE).write_bytes(to_json(mirror).encode())
    assert read_mirror(tmp_path) == mirror
    monkeypatch.setattr("lambda_script.lock_requirements", lambda *_, **__: "# é\n")
    common = replace(pipeline.common, requirements=("a",))
    file = write_lock(replace(pipeline, common=common, lock=tmp_path / "new/lock"), date(2026, 1, 2))
    assert file.read_bytes().endswith("# é\n".encode())
    assert read_file(file, "it").endswith("# é\n")


def test_project_is_utf_8_and_keeps_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io, "text_encoding", lambda encoding, _=2: encoding or "latin-1")
    tables = Tables("# é\n", "-- é\n", "-- é\n", '{"é": 1}\n')
    done = write_project(tmp_path / "é/shop", tables)
    assert (len(done.written), done.kept) == (10, ())
    for name in ("pipeline.toml", "warehouse.sql", "source.sql", "mirror.json"):
        assert "é" in (tmp_path / "é/shop/config" / name).read_bytes().decode()
    (tmp_path / "é/shop/config/source.sql").write_text("-- mine", encoding="utf-8")
    again = write_project(tmp_path / "é/shop", tables)
    assert (again.written, len(again.kept)) == ((), 10), "a project is changed by its user"
    (tmp_path / "config").mkdir()
    (tmp_path / "config/pipeline.toml").write_bytes(b"# \xe9")
    assert tmp_path / "config/pipeline.toml" in write_project(tmp_path, tables).kept
    assert (tmp_path / "config/pipeline.toml").read_bytes() == b"# \xe9"
    assert not (tmp_path / "config/warehouse.sql").exists(), "all of config is a user's"


def test_project_that_cannot_be_read_or_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config/pipeline.toml").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"config/pipeline.toml cannot be read: Is a directory\.$"):
        write_project(tmp_path, Tables("", None))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ConfigurationError, match=r"gitignore cannot be written: No space left on device\. Once it can"):
        write_project(tmp_path / "other", Tables("", None))
