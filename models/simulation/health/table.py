"""The table of `croupier simulate health`, in Markdown: a line a fault, a column a rule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from croupier.models.simulation import marked
from croupier.models.simulation.health.worlds import REELS

MARK = "health"  # of the reels world; of another one: health-obd, …
OURS = "croupier"


def markdown(found: Mapping[str, Any]) -> str:
    """Returns false alarms and faults of every rule: share named, and the median hours until the first alarm."""
    rules = {OURS: found, **found["rules"]}
    made = found["made"]
    apps = f"{made['seeds']} app{'s' * (made['seeds'] > 1)}"
    head = (
        f"{apps} of {made['days']} days and {made['per_day']:,} decisions a day ({made['world']}), "
        f"{found['app_months']:.1f} sound app-months judged hour by hour, budget {made['budget']:g} a month.\n\n"
    )
    lines = [f"| | {' | '.join(rules)} |", f"|---|{'---|' * len(rules)}"]
    alarms = [f"{rule['false_alarms_per_app_month']:.1f}" for rule in rules.values()]
    lines.append(f"| **false alarms an app-month** | {' | '.join(alarms)} |")
    for fault in found["faults"]:
        cells = [_cell(rule["faults"][fault]) for rule in rules.values()]
        lines += [f"| {fault} | {' | '.join(cells)} |"]
    return head + "\n".join(lines) + "\n"


def _cell(fault: Mapping[str, Any]) -> str:
    """'100 %, 2 h': named, median delay; 'found 50 %, 25 h' where nothing was named; '–' where it was never found."""
    if not fault["detected_rate"]:
        return "–"
    hours = f"{fault['median_delay_hours']:g} h"
    if not fault["named_rate"]:
        return f"(seen {fault['detected_rate']:.0%}, {hours})"
    return f"{fault['named_rate']:.0%}, {hours}"


def write_page(found: Mapping[str, Any], page: Path) -> None:
    """Puts the table between the page's marks of its world. Raises ValueError where it lacks them."""
    name = found["made"]["name"]
    marked.put(page, MARK if name == REELS else f"{MARK}-{name}", markdown(found))
