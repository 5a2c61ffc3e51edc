"""docker-compose.yml as what is to be started: commands, environments, users, health checks, and what waits for what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

GRACE = "10s"  # compose's own
TOKEN = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


class Missing(ValueError):
    """A variable that compose requires is not set: says which, and what it is for."""


@dataclass(frozen=True)
class Service:
    """One service. `waits` says for each other one what it waits for: started, healthy, completed_successfully; `grace`
    is how many seconds it has to end when it is stopped."""

    name: str
    command: list[str]
    environment: dict[str, str]
    user: str
    restarts: bool
    health: list[str]
    waits: dict[str, str]
    grace: float


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Compose's own rule for ${N}, ${N:-default} and ${N:?message}, with $$ for a dollar. Raises Missing."""

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if environment.get(name):
            return environment[name]
        if kind == "?":
            raise Missing(f"{name}: {rest}")
        return rest or ""

    return TOKEN.sub(value, text.replace("$$", "\0")).replace("\0", "$")


def seconds(text: str) -> float:
    """Returns the seconds of a duration as compose writes it, such as 1m30s."""
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or found is None:
        raise ValueError(f"stop_grace_period: found {text!r}, expected a duration such as 1m30s")
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return 3600.0 * hours + 60.0 * minutes + rest


def required(text: str) -> set[str]:
    """Returns the variables that have no default."""
    return {name for name, kind, _ in TOKEN.findall(text) if kind == "?"}


def services(file: Path, environment: Mapping[str, str]) -> dict[str, Service]:
    """Returns the services of a compose file by name, with these variables. Raises Missing."""
    said = yaml.safe_load(file.read_text())["services"]
    return {name: _service(name, one, environment) for name, one in said.items()}


def _service(name: str, said: Mapping[str, Any], environment: Mapping[str, str]) -> Service:
    def words(found: Any) -> list[str]:
        return [interpolated(str(word), environment) for word in found or ()]

    health = words(said.get("healthcheck", {}).get("test"))
    waits = {other: one["condition"].removeprefix("service_") for other, one in said.get("depends_on", {}).items()}
    return Service(
        name=name,
        command=[*words(said.get("entrypoint")), *words(said.get("command"))],
        environment={key: interpolated(str(value), environment) for key, value in said.get("environment", {}).items()},
        user=said.get("user", "0:0"),
        restarts=said.get("restart") == "unless-stopped",
        health=health[1:] if health[:1] == ["CMD"] else health,
        waits=waits,
        grace=seconds(said.get("stop_grace_period", GRACE)),
    )
