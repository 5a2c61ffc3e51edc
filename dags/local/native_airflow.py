"""`airflow standalone` with two ports less: scheduler and triggerer serve their logs to other machines, on every
address of this one. Here there is no other machine: the API server reads the files.

    python -m croupier.dags.local.native_airflow      started by dags/local/standalone.py
"""

from typing import Any

from airflow.cli.commands import standalone_command


class Closed(standalone_command.SubCommand):
    """A component, without its log server."""

    def __init__(self, parent: Any, name: str, command: list[str], env: dict[str, str]) -> None:
        shut = ["--skip-serve-logs"] if name in ("scheduler", "triggerer") else []
        super().__init__(parent, name=name, command=[*command, *shut], env=env)


def main() -> None:
    """Runs until SIGTERM or SIGINT, like `airflow standalone`."""
    standalone_command.SubCommand = Closed
    standalone_command.StandaloneCommand().run()


if __name__ == "__main__":
    main()
