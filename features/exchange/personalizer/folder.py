"""A folder with what was saved of a Personalizer: which file is what, by what it holds and not by its name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croupier.features.exchange.personalizer.kinds import BOM, LOG, POLICY, SERVICE, look_at


@dataclass(frozen=True, kw_only=True)
class Saved:
    """`service` and `policy`: the answers of GET …/configurations/service and …/configurations/policy, {} where there
    is none; `logs`: files of DSJSON; `others`: what is none of these, models among it, each with the sentence why."""

    service: dict[str, Any]
    policy: dict[str, Any]
    logs: tuple[Path, ...]
    others: Mapping[Path, str]


def look(folder: Path) -> Saved:
    """Raises ValueError where the folder holds no log, or two different settings of one kind."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: found no folder, expected one with Personalizer's settings and logs as JSON")
    service, policy, logs, others = dict[str, Any](), dict[str, Any](), list[Path](), dict[Path, str]()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        found = look_at(path)
        if found.kind == LOG:
            logs.append(path)
        elif found.kind in (SERVICE, POLICY):
            known = service if found.kind == SERVICE else policy
            if known and known != found.settings:
                raise ValueError(f"{path}: found other settings than in a file before it, expected one {found.kind}")
            known.update(found.settings)
        elif not path.name.startswith("."):  # what a desktop leaves behind
            others[path] = found.why
    if not logs:
        seen = "; ".join(f"{p.name} ({why})" for p, why in others.items()) or "nothing else"
        raise ValueError(
            f"{folder}: found no log of Personalizer (JSON, one event a line, with c._multi) but {seen}, expected at "
            "least one: what an app's features are stands in its logs alone"
        )
    return Saved(service=service, policy=policy, logs=tuple(logs), others=others)


def lines(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """Yields the lines of all logs, each with its end."""
    for path in paths:
        with path.open("rb") as file:
            for n, text in enumerate(file):
                line = text.removeprefix(BOM) if n == 0 else text
                yield line if line.endswith(b"\n") else line + b"\n"
