"""The entry point of the installed command ``lambda-script``, and of ``python -m lambda_toolkit.pipeline``."""

from __future__ import annotations


def main() -> None:
    """Run the command line. Without its requirements: one sentence that says what to install, and exit code 1."""
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


if __name__ == "__main__":
    main()
