"""A pipeline that runs as on AWS, on the emulated one: databases on two servers, schedules, alarms, a mail sink.

Its commands are typed in a folder of its own, where ``config/pipeline.toml`` is the repository's, and act on the stage
of that file. The stage has the settings of the local stage, and its alarms look at shorter times: ``QUICK``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from lambda_toolkit.pipeline.local_stack import credentials
from lambda_toolkit.pipeline.local_stack import stack as embedded
from lambda_toolkit.pipeline.local_stack.description import Stack, environment
from lambda_toolkit.pipeline.local_stack.postgres.database import Database
from lambda_toolkit.pipeline.local_stack.totesys import seed
from lambda_toolkit.pipeline.local_stack.totesys.expected import Expectation
from tests.drill.business import Business
from tests.drill.servers import Server, controlled, tools, warehouse_server
from tests.drill.slack import Slack
from tests.support.account import Account, eventually
from tests.support.repository import REPOSITORY

CLOCK_SPEED = 6  # rate(1 minute) fires every ten seconds
ORDERS = 400
TIMEOUT = 600.0  # seconds for one block of commands
FRESH_WITHIN = 180  # seconds that the warehouse may be behind
QUICK = {
    r'^fresh_within = ".*?"': 'fresh_within = "3 minutes"',
    r'SETTLE_SECONDS = "\d+"': 'SETTLE_SECONDS = "10"',
    r"^errors\.evaluation_periods = 3$": """errors = { period = 10, evaluation_periods = 3 }
silent.period = 10
rejected.period = 10
outstanding.period = 10
pending.period = 10
stale.period = 30""",
}
"""What is replaced in the configuration: alarms look at half a minute, where those that are shipped look at several."""


class CommandFailedError(Exception):
    """A command of the runbook failed."""


@dataclass
class Site:
    """Everything that the drill breaks, and where its commands are typed."""

    root: Path
    stack: Stack
    source: Server
    warehouse: Server
    reader: Database
    """The source, for the user of extract."""
    loader: Database
    """The warehouse, for the user of load."""
    business: Business
    slack: Slack
    environ: dict[str, str]
    at_the_end: list[Callable[[], object]] = field(default_factory=list)
    """What a row leaves open."""
    expected: dict[str, Expectation] = field(default_factory=dict)
    """What a table of the warehouse must hold where that is declared otherwise since."""

    @cached_property
    def account(self) -> Account:
        """The emulated account, as its administrator sees it."""
        return Account(self.stack)

    def client(self, service: str) -> Any:
        """A boto3 client of the emulated account."""
        return self.account.client(service)

    def name(self, function: str) -> str:
        """The name on AWS of a function or an alarm."""
        return f"totes-dev-{function}"

    def bucket(self, name: str) -> str:
        """The name of a bucket of the lake."""
        return f"totes-dev-{name}-{self.stack.account_id}"

    def type(self, block: str, more: Mapping[str, str] | None = None, *, must_succeed: bool = True) -> str:
        """What a block of shell commands prints. Raises CommandFailedError where one of them fails and may not."""
        done = subprocess.run(
            ["/bin/bash", "-e" if must_succeed else "-u", "-c", block],
            cwd=self.root,
            env={**self.environ, **(more or {})},
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
        output = f"{done.stdout}{done.stderr}"
        if must_succeed and done.returncode != 0:
            raise CommandFailedError(f"exit code {done.returncode}:\n{block}\n{output}")
        return output

    def edit(self, old: str, new: str) -> None:
        """Replace a line of the configuration."""
        path = self.root / "config" / "pipeline.toml"
        text = path.read_text(encoding="utf-8")
        assert text.count(f"{old}\n") == 1, f"{path.name} does not have the line once: {old}"
        path.write_text(text.replace(f"{old}\n", f"{new}\n"), encoding="utf-8")


@contextmanager
def running(root: Path) -> Iterator[Site]:
    """The pipeline, deployed below ``root``, with its first batch in the warehouse. Nothing of it is left behind."""
    shutil.copytree(REPOSITORY / "config", root / "config")
    shutil.copy(REPOSITORY / "deploy.py", root)
    config = root / "config" / "pipeline.toml"
    config.write_text(quick(config.read_text(encoding="utf-8")), encoding="utf-8")
    home = root / "aws"
    with ExitStack() as cleanup:
        cleanup.callback(embedded.down, home, wipe=True)
        stack = embedded.up(home, source_schema=root / "config" / "totesys.sql", clock_speed=0.001)
        seed.generated(stack.source_admin, orders=ORDERS)
        passwords = credentials.of(stack.directory).passwords
        server, warehouse = cleanup.enter_context(warehouse_server(root / "warehouse-server", passwords))
        source = controlled(stack.directory / embedded.POSTGRES)
        environ = {
            **{name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ},
            **environment(stack),
            "WAREHOUSE_DATABASE_URL": warehouse.url,
            "PATH": tools(root / "bin", server),
            "PYTHONPATH": str(REPOSITORY),
        }
        del environ["LAMBDA_SCRIPT_STACK"]  # its commands act on AWS, which is emulated here
        slack = Slack()
        cleanup.callback(slack.close)
        environ["SLACK_WEBHOOK_URL"] = slack.open()
        business = Business(stack.source_admin)
        site = Site(root, stack, source, server, stack.source, warehouse, business, slack, environ)
        site.type("python deploy.py prepare\npython deploy.py\npython deploy.py run")
        embedded.set_clock_speed(stack, CLOCK_SPEED)
        eventually(lambda: _has_run(site), 90)
        try:
            yield site
        finally:
            for close in site.at_the_end:
                with suppress(Exception):  # the server may have ended it
                    close()


def _has_run(site: Site) -> bool:
    """Whether each schedule has fired: an alarm on what does not happen needs that it did."""
    described = site.client("cloudwatch").describe_alarms()["MetricAlarms"]
    return all(alarm["StateValue"] == "OK" for alarm in described if alarm["AlarmName"].endswith("-silent"))


def quick(text: str) -> str:
    """The configuration with the settings of the local stage for the stage `dev`, and alarms that look at less."""
    changed = re.sub(r"^\[stages\.local\b", "[stages.dev", text, flags=re.MULTILINE)
    for pattern, replacement in QUICK.items():
        changed, found = re.subn(pattern, replacement, changed, flags=re.MULTILINE)
        assert found, f"the configuration does not have {pattern}"
    return changed
