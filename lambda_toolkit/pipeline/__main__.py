"""The entry point of the installed command ``lambda-script``, and of ``python -m lambda_toolkit.pipeline``."""

from __future__ import annotations


def main() -> None:
    """Run the command line. Without its requirements: one sentence that says what to install, and exit code 1."""
    from lambda_toolkit.pipeline.installed import hide_urls

    hide_urls()
    try:
        from lambda_toolkit.pipeline.command_line import run
    except ModuleNotFoundError as error:
        from lambda_toolkit.pipeline.installed import what_to_install

        raise SystemExit(what_to_install(error)) from None
    run()


if __name__ == "__main__":
    main()
