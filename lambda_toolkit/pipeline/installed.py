"""The entry point of the installed command ``lambda-script``."""

from __future__ import annotations


def main() -> None:
    """Run the command line. Without the packages of the pipeline: one sentence that says what to install, exit 1."""
    try:
        from lambda_toolkit.pipeline.command_line import run
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        raise SystemExit(
            "lambda-script needs the packages of the pipeline: pip install 'lambda-script[pipeline]', "
            "or 'lambda-script[local]' to try it on this machine."
        ) from None
    run()
