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
from tests.unit.commands.test_configuration_values import ALERTS, LEAST, PIPELINE, REPORT, TABLES, loaded

KEY = "`kms_key` must be the ARN of a key"
ALARM = '[alarms.a]\nmetric = "m"\n'
ALARMS = ALERTS + 'alarms = "{name}-alarms"\n'
ALARMED = REPORT + 'alarms = ["a"]\n'
HEARS = '[functions.hears]\nsource = "a.py"\ntopic_trigger = ["alarms"]\n'
EXTRACT, TRANSFORM = "[functions.extract]\n", "[functions.transform]\n"
SOURCE = '[source.item]\nkey = "item_id"\n'


def problems(folder: Path, text: str) -> list[str]:
    try:
        loaded(folder, text)
    except ConfigurationError as refused:
        place = f"{folder / 'config' / 'pipeline.toml'}: "
        lines = str(refused).splitlines()
        assert all(line.startswith(place) for line in lines)
        return [line.removeprefix(place) for line in lines]
    return []


def of_report(keys: str) -> str:
    return LEAST.replace(REPORT, REPORT + keys)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"pipeline = 3\n{ALERTS}{REPORT}{TABLES}",
            ["the file `pipeline` must be a table, not 3.", "[pipeline] lacks"],
        ),
        (ALERTS + REPORT + TABLES, ["the file lacks the table [pipeline]."]),
        (LEAST.replace('region = "eu-west-2"\n', ""), ["[pipeline] lacks the key `region` (a string), and AWS_REGION"]),
        (f"stages = 3\n{LEAST}", []),
        (f"{LEAST}[stages]\ndev = 3\n", []),
        (f"source = 3\n{LEAST.replace(SOURCE, '')}", ["the file `source` must be a table of tables, not 3."]),
        (LEAST.replace(SOURCE, ""), ["the file lacks the table [source]."]),
        (LEAST.replace(SOURCE, "[source]\n"), ["the file lacks the table [source]."]),
        (
            f"warehouse = 3\n{PIPELINE}{ALERTS}{REPORT}{SOURCE}",
            ["the file `warehouse` must be a table of tables, not 3."],
        ),
        (f"functions = 3\n{LEAST.replace(REPORT, '')}", ["the file `functions` must be a table of tables, not 3."]),
        (f"[functions]\nload = 3\n{LEAST.replace(REPORT, '')}", ["[functions.load] must be a table, not int."]),
        (
            LEAST.replace(ALERTS, ALERTS + 'emails = ["a@b", "a@b.c d", "a@b.c"]\n'),
            ["[alerts] `emails` contains 'a@b', which", "[alerts] `emails` contains 'a@b.c d', which"],
        ),
        (LEAST.replace(ALERTS, ALERTS + 'kms_key = "key:arn:"\n'), [f"[alerts] {KEY} of your own"]),
        (LEAST.replace(ALERTS, ALERTS + 'kms_key = ""\n'), []),
        (f"{LEAST}[buckets.lake]\nname = 'lake'\nkms_key = 'key:arn:'\n", [f"[buckets.lake] {KEY}"]),
        (f"{LEAST}[load]\nconnections = 65\n", ["[load] `connections` must be from 1 to 64, not 65."]),
        (
            f"{LEAST}{ALARM}below = 1\nthreshold = 1\n",
            ["[alarms.a] has both a `threshold` to reach and a limit to fall"],
        ),
        (f"{LEAST}{ALARM}below = 1\nmissing_data = 'missing'\n", ["[alarms.a] has `below`, for which periods without"]),
        (
            f"{LEAST}[extract]\nreaders = -1\nreader_rows = 0\n",
            ["[extract] `readers` must", "[extract] `reader_rows` must"],
        ),
        (f"{LEAST}[extract]\nreaders = 501\nreader_rows = 1\n{EXTRACT}", ["[extract] `readers` must be from 0 to 500"]),
        (f"{LEAST}[extract]\nreaders = 500\n{EXTRACT}", []),
        (
            f"{LEAST}[extract]\nreaders = 2\n",
            ["[extract] `readers` deploys the function reader as extract is declared"],
        ),
        (
            f"{LEAST}[extract]\nreaders = 2\n{EXTRACT}[functions.reader]\nsource = 'a'\n",
            ["[extract] `readers` deploys"],
        ),
        (f"{LEAST}[transform]\nworkers = -1\n", ["[transform] `workers` must be from 0 to 500, not -1."]),
        (f"{LEAST}[transform]\npart_rows = 0\n", ["[transform] `part_rows` must be 1 or more"]),
        (f"{LEAST}[transform]\nworkers = 501\n{TRANSFORM}", ["[transform] `workers` must be from 0 to 500, not 501."]),
        (f"{LEAST}[transform]\nworkers = 500\n{TRANSFORM}concurrency = 501\n", []),
        (f"{LEAST}[transform]\nworkers = 2\n{TRANSFORM}concurrency = 'unreserved'\n", []),
        (
            f"{LEAST}[transform]\nworkers = 2\n{TRANSFORM}concurrency = 2\n",
            ["[functions.transform] `concurrency` must be"],
        ),
        (
            f"{LEAST}[transform]\nworkers = 2\n",
            ["[transform] `workers` are invocations of [functions.transform], which"],
        ),
        (
            f"{LEAST}[backfill]\nengine = 'glue'\nworkers = 1\n",
            ["[backfill] lacks the key `role`", "[backfill] `workers` must"],
        ),
        (
            f"{LEAST}[backfill]\nengine = 'emr-serverless'\nworkers = 501\n",
            ["[backfill] lacks the key `role`", "[backfill] lacks the key `application`", "[backfill] `workers` must"],
        ),
        (f"{LEAST}[backfill]\nengine = 'local-spark'\nworkers = 2\n", []),
        (
            of_report('reads = ["r/a"]\nwrites = ["w/a"]\nsweeps = ["s/a"]\n'),
            [f"[functions.report] names `{n}`" for n in "rws"],
        ),
        (
            of_report('s3_trigger = { bucket = "t" }\n'),
            ["[functions.report] names `t`, which [buckets] does not declare."],
        ),
        (of_report('alarms = ["t"]\n'), ["[functions.report] names `t`, which [alarms] does not declare."]),
        (of_report('secret = ["t"]\n'), ["[functions.report] names `t`, which [secrets] does not declare."]),
        (of_report('schedule = [{ expression = "often" }]\n'), ["[functions.report] `schedule`: "]),
        (
            of_report('environment = { AB = "b", CD = 3 }\n'),
            ["[functions.report] `environment` must be a table of strings"],
        ),
        (of_report('alarms = ["a", 3]\n'), ["[functions.report] `alarms` must be a list of strings, not ['a', 3]."]),
        (of_report('secret = ["a", 3]\n'), ["[functions.report] `secret` must be a string, or a list of strings, not"]),
        (
            of_report("concurrency = 'often'\n"),
            ["[functions.report] `concurrency` must be an integer or one of unreserved"],
        ),
        (of_report("tracing = 'On'\n"), ["[functions.report] `tracing` must be one of Active, PassThrough, "]),
        (of_report("snapstart = 1\n"), ["[functions.report] `snapstart` must be true or false, not 1."]),
        (
            of_report("queue_trigger = { queue = 'q', filters = [{ a = ['b'] }, 'c'] }\n"),
            ["[functions.report.queue_trigger] `filters` must be a list of tables with any keys"],
        ),
        (
            of_report("queue_trigger = [{ queue = 'q' }, { queue = 'r', many = 1 }]\n"),
            ["[functions.report.queue_trigger.2] contains the unknown key `many`."],
        ),
        (
            of_report("queue_trigger = [{ que = 'q' }]\n"),
            [
                "[functions.report.queue_trigger] lacks the key `queue` (a string). Is `que` meant for it?",
                "[functions.report.queue_trigger] contains the unknown key `que`. Did you mean `queue`?",
                "[functions.report] its trigger names no queue",
            ],
        ),
        (f"{LEAST}[buckets]\nlake = 3\n", ["[buckets.lake] must be a table, not int."]),
        (
            LEAST.replace("[warehouse.", "[warehouse]\nengine = 'mysql'\n[warehouse."),
            ["[warehouse] `engine` must be one of"],
        ),
        (
            LEAST.replace("[warehouse.", "[warehouse]\nfile = 'a'\n[warehouse."),
            ["[warehouse.file] must be a table, not str."],
        ),
        (LEAST.replace(ALERTS, ALARMS), []),
        (
            LEAST.replace(ALERTS + REPORT, ALARMS + ALARMED) + ALARM,
            ["[alerts] `alarms` is a topic that nothing receives"],
        ),
        (
            LEAST.replace(ALERTS + REPORT, ALARMS + ALARMED) + ALARM + HEARS.replace("alarms", "alerts"),
            ["[alerts] `alarms` is a topic that nothing receives"],
        ),
        (LEAST.replace(ALERTS + REPORT, ALARMS + ALARMED) + ALARM + HEARS, []),
        (LEAST.replace(REPORT, ALARMED) + ALARM, []),
        (LEAST + HEARS, ["[alerts] lacks the key `alarms`, the topic that starts the function hears."]),
        (LEAST.replace('"item_id" }', '"len(x)" }'), ["[warehouse.dim_item] column `item_id` = 'len(x)': there is no"]),
        (
            LEAST.replace('"item_id" }', '"len(x)" }') + "extra = 1\n[source.other]\nkey = 'id'\ndeletes = 'x'\n",
            ["[warehouse.dim_item] contains the unknown key `extra`.", "[source.other] `deletes` must be"],
        ),
        (
            LEAST.replace("[warehouse.dim_item", "[warehouse]\nmirror = ['*']\n[warehouse.log"),
            ["[warehouse] `mirror`: [warehouse] `mirror` and [warehouse.log] give two tables the name log."],
        ),
        (f"{LEAST}[warehouse]\nengine = 'duckdb'\npath = ''\n", ["[warehouse] `path` must be the name of a file."]),
        (f"{LEAST}[warehouse]\nengine = 'duckdb'\npath = 'a/'\n", ["[warehouse] `path` must be the name of a file."]),
        (
            f"{LEAST}[warehouse]\nengine = 'duckdb'\npath = 3\n",
            ["[warehouse] `path` must be a string, not 3.", "[warehouse] `path` must be the name of a file."],
        ),
        (f"{LEAST}[warehouse]\npath = 3\n", ["[warehouse] `path` must be a string, not 3."]),
        (
            f"{LEAST}[warehouse]\npath = 'a'\n",
            ['[warehouse] `path` names a DuckDB file: it needs `engine = "duckdb"`.'],
        ),
        (LEAST.replace("[warehouse.", "[warehouse]\nmirror = 3\n[warehouse."), ["[warehouse] `mirror` must be a list"]),
        (
            LEAST.replace("[warehouse.", "[warehouse]\nmirror = ['*', 3]\n[warehouse."),
            ["[warehouse] `mirror` must be a list"],
        ),
    ],
    ids=lambda value: "text" if isinstance(value, str) else ", ".join(value) or "no mistake",
)
def test_each_mistake_is_said_once_at_its_place(tmp_path: Path, text: str, said: list[str]) -> None:
    column = MirrorColumn("id", "id", "integer", required=True)
    mirror = to_json(Mirror((MirrorTable("log", "log", ("id",), "record_id", (column,)),)))
    (tmp_path / MIRROR_FILE).parent.mkdir()
    (tmp_path / MIRROR_FILE).write_text(mirror, encoding="utf-8")
    found = problems(tmp_path, text)
    assert [line[: len(beginning)] for line, beginning in zip(found, said, strict=True)] == said


PLACE = "'{team}' contains an unknown placeholder"
RULE = "[buckets.lake] `lifecycle` rule `a`"
LAKE = "[buckets.lake]\nname = 'lake'\n"
BELOW = [
    f"[functions.{name}]\nsource = 'a.py'\ns3_trigger = {{ bucket = 'lake', prefix = '{name}/' }}\n" for name in "xyx"
]
THREE = "".join((BELOW[0], BELOW[1], BELOW[2].replace("functions.x", "functions.z"), LAKE))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{LEAST}{LAKE}lifecycle = [{{ name = 'a' }}]\n",
            [f"{RULE} does nothing: give it one of abort_uploads_days, non"],
        ),
        (
            f"{LEAST}{LAKE}lifecycle = [{{ name = 'a', expire_days = 0 }}, {{ name = 'a', noncurrent_days = 1 }}]\n",
            [f"{RULE}: `expire_days` 0 must be 1 or more.", "[buckets.lake] `lifecycle` has two rules called `a`."],
        ),
        (
            f"{LEAST}{LAKE}lifecycle = [{{ name = 'a', noncurrent_days = 0, abort_uploads_days = -1 }}]\n",
            [f"{RULE}: `abort_uploads_days` -1 must be", f"{RULE}: `noncurrent_days` 0 must be"],
        ),
        (
            f"{LEAST}{LAKE}lifecycle = [{{ name = 'a', transition_days = 0 }}]\n",
            [f"{RULE}: `transition_days` 0 must be", f"{RULE}: `transition_days` and `storage_class` need each other."],
        ),
        (
            f"{LEAST}{LAKE}lifecycle = [{{ name = 'a', storage_class = 'GLACIER' }}]\n",
            [f"{RULE} does nothing", f"{RULE}: `transition_days` and `storage_class` need each other."],
        ),
        (f"{LEAST}[buckets]\nlake = 'Lake'\n", ["[buckets] `lake`: Bucket `Lake`: its name must be"]),
        (f"{LEAST}[buckets]\nlake = '{{team}}'\n", [f"[buckets] `lake`: {PLACE}"]),
        (f"{LEAST}[cloudwatch_dashboard]\nname = 'a b'\n", ["[cloudwatch_dashboard] "]),
        (f"{LEAST}[cloudwatch_dashboard]\nname = '{{team}}'\n", [f"[cloudwatch_dashboard] {PLACE}"]),
        (of_report("log_group = '{team}'\n"), [f"[functions.report] {PLACE}", "[functions.report] log_group"]),
        (
            LEAST.replace(ALERTS, "permissions_boundary = '{team}'\n" + ALERTS),
            [f"[functions.report] {PLACE}", "[functions.report] permissions_boundary"],
        ),
        (
            LEAST.replace(ALERTS, "permissions_boundary = 'limits'\n" + ALERTS),
            ["[pipeline] permissions_boundary `limits`"],
        ),
        (LEAST.replace(ALERTS, "log_level = 'WARN'\n" + ALERTS), ["[pipeline] log_level"]),
        (LEAST.replace(ALERTS, "system_log_level = 'WARN'\n" + ALERTS), ["[pipeline] system_log_level"]),
        (LEAST.replace(ALERTS, "log_format = 'JSON'\nlog_level = 'LOW'\n" + ALERTS), ["[pipeline] log_level"]),
        (LEAST.replace(ALERTS, "log_retention_days = 2\n" + ALERTS), ["[pipeline] log_retention_days 2 is not one of"]),
        (LEAST.replace(ALERTS, "tags = { 'aws:a' = 'b' }\n" + ALERTS), ["[pipeline] tag `aws:a`: "]),
        (f"{LEAST}[packages]\nruntime = 'python2'\n", ["[packages] runtime `python2`"]),
        (f"{LEAST}[vpc]\nsubnets = ['subnet-1']\n", ["[vpc] vpc has `subnets` and no `security_groups`"]),
        (LEAST.replace(REPORT, ALARMED) + ALARM + "period = 61\n", ["[alarms.a] alarm `a`: period 61"]),
        (of_report("timeout = 10000\n"), ["[functions.report] timeout 10000 is outside 1 to"]),
        (
            of_report("memroy = 1\non_failure = 'lake'\n") + LAKE,
            ["[functions.report] contains the unknown key `memroy`"],
        ),
        (
            of_report("memroy = 1\ncanary = { weight = 0.5 }\nalarms = ['a']\n") + ALARM,
            ["[functions.report] contains the unknown key `memroy`"],
        ),
        (
            of_report("memroy = 1\nretries = 3\n"),
            ["[functions.report] contains the unknown", "[functions.report] retries 3 is"],
        ),
        (LEAST + THREE, ["[functions.z] `s3_trigger`: "]),
        (LEAST + THREE.replace("prefix = 'x/' }\n[functions.y", "prefix = 'w/' }\n[functions.y"), []),
    ],
    ids=lambda value: "text" if isinstance(value, str) else ", ".join(value) or "no mistake",
)
def test_what_aws_would_reject_is_said_once_at_its_place(tmp_path: Path, text: str, said: list[str]) -> None:
    found = problems(tmp_path, text)
    assert [line[: len(beginning)] for line, beginning in zip(found, said, strict=True)] == said


def test_files_are_utf_8_whatever_the_machine_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the encoding of files is Latin-1 where the code names none."""
    monkeypatch.setattr(io, "text_encoding", lambda encoding, _=2: encoding or "latin-1")
    pipeline = loaded(tmp_path, LEAST + ALARM + 'description = "é"\n')
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
