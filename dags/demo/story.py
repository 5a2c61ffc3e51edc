"""The demo's words: progress while it runs, and at its end the whole story in one screen."""

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from croupier.features.interactions.account import Account

_console = Console(width=118, highlight=False)
_began = time.monotonic()


def heading(text: str) -> None:
    """Prints a heading."""
    _console.rule(f"[bold]{text}")


def say(text: str) -> None:
    """Prints a line with the seconds since the demo began."""
    _console.print(f"[dim]{time.monotonic() - _began:6.1f} s[/dim]  {text}", markup=True)


def tell(summary: Mapping[str, Any]) -> None:
    """Prints the summary as tables."""
    heading("The story")
    for name in ("obd", "reels"):
        _act(name, summary["acts"][name])
    _rollouts(summary["acts"])
    _console.print(f"{summary['seconds']:.0f} s; figures in var/demo/summary.json; Airflow was at {summary['airflow']}")
    _console.print("[bold]make up VAR=var/demo APP=reels[/bold]; [bold]make down VAR=var/demo[/bold] when done.")
    _health(summary["health"])


def _health(found: Mapping[str, Any]) -> None:
    """The landing page's words, the last of the demo: each app in a sentence, and where the page lies."""
    heading("Is it well")
    _console.print(f"{found['summary']}; {found['page']}", markup=False)
    for app in found["apps"]:
        _console.print(app["sentence"], markup=False)


def _act(name: str, act: Mapping[str, Any]) -> None:
    account, quality, served = act["account"], act["quality"], act["served"]
    passed = "passed" if quality["passed"] else "FAILED"
    _console.print(
        f"[bold]{name}[/bold]  {act['decisions']:,} decisions → {act['interactions']:,} interactions; "
        f"rewards {account['rewards_in']:,} = {account['on_time']:,} on time + {account['late']} late + "
        f"{account['orphan']} orphan + {Account.from_dict(account).refused} refused + {account['duplicate']} duplicate"
    )
    _console.print(f"quality {passed} ({quality['docs_path']})")
    _console.print(_policies(act))
    _console.print(f"gate: {act['summary']}  [dim]{act['report']}[/dim]")
    share = act.get("candidate_share_of_units")
    stage = f", candidate on {share:.1%} of units" if share is not None else ", champion alone"
    _console.print(
        f"release {act['release']}{stage}: {served['requests']:,} selections at {served['triton']}, "
        f"{served['errors']} errors, p50 {served['p50_ms']} ms, p99 {served['p99_ms']} ms, "
        f"pmf served = offline to {served['max_pmf_error']:.0e}\n"
    )


def _rollouts(acts: Mapping[str, Any]) -> None:
    for name, act in (("reels", acts["reels"]), ("harmful", acts["harmful"])):
        steps = " → ".join(["5%", *(step["stage"] for step in act["rollout"]["steps"])])
        last = act["rollout"]["steps"][-1]
        after = f"{act['rollout']['decisions']:,} decisions: {last['reason']}"
        _console.print(f"[bold]rollout of {name}[/bold]  {steps} after {after}")
    _console.print(f"after the abort the candidate serves {acts['harmful']['candidate_share_of_units']:.1%} of units")
    _console.print(f"[dim]{acts['reels']['rollout']['report']}\n{acts['harmful']['report']}[/dim]\n")


def _policies(act: Mapping[str, Any]) -> Table:
    truth = any("true_value" in row for row in act["policies"].values())
    true_value = ["true value"] if truth else []
    table = Table("policy", "DM", "IPS", "SNIPS", "DR", "interval", "ESS", *true_value, "verdict")
    for name, row in act["policies"].items():
        numbers = [f"{row[k]:.4f}" for k in ("dm", "ips", "snips", "dr")]
        interval = f"[{_number(row['lower'])}, {_number(row['upper'])}]"
        value = [f"{row['true_value']:.4f}"] if truth else []
        table.add_row(name, *numbers, interval.replace("[", "\\["), f"{row['ess']:,.0f}", *value, str(row["verdict"]))
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
