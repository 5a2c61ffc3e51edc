"""A folder with what was saved of a Personalizer: which file is what, by what it holds and not by its name."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from croupier.features.exchange.sources import JSON

HEAD = 1 << 20  # bytes: settings are smaller, a line of a log is, too


@dataclass(frozen=True, kw_only=True)
class Saved:
    """`service` and `policy`: the answers of GET …/configurations/service and …/configurations/policy, {} where there
    is none; `logs`: files of DSJSON; `others`: what was not understood, models among it."""

    service: dict[str, Any]
    policy: dict[str, Any]
    logs: tuple[Path, ...]
    others: tuple[Path, ...]


def look(folder: Path) -> Saved:
    """Raises ValueError where the folder holds no log, or two different settings of one kind."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: found no folder, expected one with Personalizer's settings and logs as JSON")
    service, policy, logs, others = dict[str, Any](), dict[str, Any](), list[Path](), list[Path]()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        kind, value = _kind(path)
        if kind == "log":
            logs.append(path)
        elif kind in ("service", "policy"):
            known = service if kind == "service" else policy
            if known and known != value:
                raise ValueError(f"{path}: found other settings than in a file before it, expected one {kind}")
            known.update(value)
        else:
            others.append(path)
    if not logs:
        seen = ", ".join(p.name for p in others) or "nothing else"
        raise ValueError(
            f"{folder}: found no log of Personalizer (JSON, one event a line, with c._multi) but {seen}, expected at "
            "least one: what an app's features are stands in its logs alone"
        )
    return Saved(service=service, policy=policy, logs=tuple(logs), others=tuple(others))


def _kind(path: Path) -> tuple[str, dict[str, Any]]:
    """log, service, policy, or other."""
    if not path.name.lower().endswith(JSON):
        return "other", {}
    with path.open("rb") as file:
        head = file.read(HEAD)
    for text in (head, head.partition(b"\n")[0]):  # settings are one object, a log has one a line
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            if "rewardWaitTime" in value:
                return "service", value
            if isinstance(value.get("arguments"), str):
                return "policy", value
            return ("log" if {"c", "EventId", "RewardValue"} & value.keys() else "other"), {}
    return "other", {}


def lines(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """Yields the lines of all logs, each with its end."""
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                yield line if line.endswith(b"\n") else line + b"\n"
