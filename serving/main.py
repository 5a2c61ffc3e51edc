"""The `croupier` command's first step: it says which extra is missing where only the client was installed."""

import sys


def main() -> None:
    """Run the command line; a package that was not installed is named, with what to install."""
    try:
        from croupier.serving.cli import app

        app()
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "croupier":
            raise
        sys.exit(
            f"croupier: found no package {error.name!r}, expected it for this command; install croupier[pipeline] "
            "(features, models, the command line) or croupier[serving] (a Triton host). The client alone needs neither"
        )
