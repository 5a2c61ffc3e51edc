"""The `croupier` command's first step: it says which extra is missing where only a part was installed."""

import os
import signal
import sys
from types import FrameType

# what a package comes with; others: with the pipeline
EXTRAS = {"airflow": "airflow", "prometheus_client": "serving"} | dict.fromkeys(
    ("httptools", "starlette", "uvicorn"), "gateway"
)


def main() -> None:
    """Run the command line; a package that was not installed is named, with what to install."""
    if os.getpid() == 1:
        signal.signal(signal.SIGTERM, _end)
    try:
        from croupier.serving.cli import app

        app()
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package == "croupier":
            raise
        sys.exit(missing(package))


def _end(number: int, _frame: FrameType | None) -> None:
    """As the first process of a container, ends it on SIGTERM: the kernel drops the signals that this process does not
    ask for. Commands that have more to do on SIGTERM (`ship`, `serve run`, `gateway`) say so themselves."""
    sys.exit(128 + number)


def missing(package: str) -> str:
    """What is said of a package that is not there: which extra has it, and how each installer is asked for it."""
    extra = EXTRAS.get(package, "pipeline")
    return (
        f"croupier: found no package {package!r}, expected it for this command; it comes with croupier[{extra}]. "
        f"In a checkout: uv tool install --force '.[{extra}]' --constraints constraints.txt, or pip install "
        f"'.[{extra}]'; of a wheel: uv tool install --force 'croupier[{extra}] @ WHEEL'. Extras: pipeline (features, "
        "models, this command line), serving (a Triton host), gateway (HTTP), airflow, triton. The client needs none"
    )
