"""The command line of the pipeline: its commands and their summaries. Each command is a module of ``commands``.

``python deploy.py`` and the installed command ``lambda-script`` run this module. Without a command both deploy.
"""

from __future__ import annotations

import atexit
import gc
import os
import platform

import click

from lambda_toolkit.pipeline.commands.shared.lazy_group import LazyGroup
from lambda_toolkit.pipeline.installed import COMMAND, DEFAULT_PATH, VERSION, first_steps, program

COMMANDS = {
    "deploy": "Deploy the pipeline, or redeploy the named functions only.",
    "plan": "Show what deploy would do, and change nothing.",
    "status": "Show whether all is fresh and whole, what is wrong, and what helps.",
    "batches": "Show the last batches: their rows, their times, how long changes took.",
    "cost": "Show what a month costs on AWS, and what would make it cheaper.",
    "backfill": "Transform batches by functions or Spark; or show what a first load takes and costs.",
    "dashboard": "Show the pipeline in a browser: health, batches, warehouse, deployment.",
    "run": "Extract now, and follow the batch until it is in the warehouse.",
    "prepare": "Create what the warehouse lacks; report every difference.",
    "rejected": "Show the rows that are kept out of the warehouse, and why.",
    "replay": "Reprocess batches from the lake, or rebuild the complete warehouse.",
    "lake": "Print the SQL by which DuckDB or Spark reads the lake.",
    "publish": "Publish the warehouse as Iceberg tables, batch by batch.",
    "query": "Show what a query of the warehouse returns: a table, CSV or Parquet.",
    "invoke": "Invoke one function, or run one here; show its result and its log.",
    "watch": "Deploy after each save, show the log, say what happened.",
    "rollback": "Make an earlier version of one function live again.",
    "logs": "Show what the functions logged.",
    "alert-test": "Send a test message by the way that alarms take, and say what arrived.",
    "destroy": "Remove everything that deploy created.",
    "policy": "Print the IAM policy of who deploys, or the trust policy for GitHub.",
    "lock": "Lock the requirements of the functions to versions and hashes.",
    "init": "Write a project to begin with, for a database of your own.",
}
LOCAL_COMMANDS = {
    "up": "Start the local stack, prepare and seed the databases, deploy to it.",
    "down": "Stop the local stack.",
    "env": "Print the exports that point the AWS CLI, boto3 and psql at it.",
    "run": "The main job: up, run, a business day, run again, check, show, down.",
    "simulate": "Simulate activity in the source.",
    "inbox": "Show the emails and the messages for Slack that arrived.",
}

_GARBAGE = 500_000
"""So many new objects lead to a search for garbage. Most commands make fewer, and end: the searches that Python's own
threshold of 700 leads to visit modules, which stay. AWS's models are not visited anyway, see ``botocore_clients``."""
_COMPLETION = "_LAMBDA_SCRIPT_COMPLETE"  # the variable by which a shell asks; click's name for it

EPILOG = (
    "Every command takes --stage, --config and --json. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped. "
    f"To try it without an AWS account: {first_steps(DEFAULT_PATH)}\n\n\b\n"
    "For completion in bash, and with zsh_source or fish_source in these shells:\n"
    f'  eval "$({_COMPLETION}=bash_source {COMMAND})"'
)


@click.group(
    cls=LazyGroup,
    package="lambda_toolkit.pipeline.commands",
    summaries=COMMANDS,
    default="deploy",
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, message=f"lambda-script %(version)s, Python {platform.python_version()}")
def main() -> None:
    """Deploy and run the pipeline. Without a command: deploy."""


@main.group(cls=LazyGroup, package="lambda_toolkit.pipeline.commands.local", summaries=LOCAL_COMMANDS)
def local() -> None:
    """The whole pipeline on this machine: no account, no Docker."""


def run() -> None:
    """Run the command that the arguments of this process name, and end the process."""
    gc.set_threshold(_GARBAGE)
    atexit.register(gc.freeze)  # collecting garbage in botocore's models takes longer than ending without
    completes = _COMPLETION in os.environ
    main(prog_name=COMMAND if completes else program(), complete_var=_COMPLETION)
