"""What a check of the data found, as values, as an error, and as the page that people open first.

QualityFailed(RuntimeError)   a critical rule failed: names rule, count and three event ids
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from html import escape
from pathlib import Path
from typing import Any, Self

import polars as pl

from croupier.features.interactions.account import Account
from croupier.features.interactions.quarantine import STOPPED
from croupier.features.quality import pages
from croupier.features.quality.audit import Audit
from croupier.features.quality.rules import Rule
from croupier.features.store import layout
from croupier.features.utc import hour_name

Judged = Sequence[tuple[Rule, Mapping[str, Any]]]  # each rule with {success, rows, observed}


class QualityFailed(RuntimeError):
    """A critical rule failed."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule that failed: on how many rows (1 for a rule about the whole interval), with examples."""

    rule: str
    says: str
    count: int
    examples: tuple[str, ...] = ()
    observed: float | None = None

    def __str__(self) -> str:
        what = f"{self.count} rows, such as {', '.join(self.examples)}" if self.examples else f"found {self.observed}"
        return f"{self.rule} ({self.says}): {what}"


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """`rules` were judged; `quarantined` rows lie in `quarantine.parquet`, and, with their state, are `broken`: while
    they are at most the share `limit` of their hour, what they broke is `held` and not critical. `audit` is this
    interval's own evidence on propensities."""

    rules: int
    rows: int
    critical: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    docs_path: Path
    held: tuple[Finding, ...] = ()
    quarantined: int = 0
    limit: float = 0.0
    audit: Audit = field(default_factory=dict)
    broken: pl.DataFrame = field(default_factory=pl.DataFrame, compare=False)

    @property
    def passed(self) -> bool:
        """No critical finding."""
        return not self.critical

    @property
    def error(self) -> str:
        """What failed, in a sentence for an operator; "" where nothing critical did."""
        if self.passed:
            return ""
        found = "; ".join(map(str, self.critical))
        return f"{found}. Quarantined {self.quarantined} of {self.rows} rows{self.waits}; see {self.docs_path}"

    @property
    def stopped(self) -> set[str]:
        """The hours of which too many rows are broken."""
        return {hour_name(at) for at in self.broken.filter(state=STOPPED)["at"]} if self.quarantined else set()

    @property
    def waits(self) -> str:
        """What to do about rows that are too many to be held; "" where there are none."""
        if not self.quarantined or not any(finding.examples for finding in self.critical):
            return ""
        return (
            f", where [quality] quarantine allows {self.limit:.2%} of an hour: mend their source or app.toml, then "
            "say `croupier quarantine release` or `drop`, and the next build goes on"
        )

    def or_raise(self) -> Self:
        """Itself. Raises QualityFailed if a critical rule failed."""
        if not self.passed:
            raise QualityFailed(self.error)
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON; the audit's evidence and the rows go to the store instead (audit.py, interactions/quarantine.py)."""
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("audit", "broken")}
        findings = {name: [asdict(f) for f in row[name]] for name in ("critical", "warnings", "held")}
        return {"passed": self.passed} | row | findings | {"docs_path": str(self.docs_path)}


def overview(report: QualityReport, judged: Judged, account: Account | None, interval: str) -> None:
    """`index.html`: the verdict, every rule with what was found, the account, links to the Data Docs."""
    found = {f.rule: f for f in (*report.held, *report.critical, *report.warnings)}
    held = {f.rule for f in report.held} - {f.rule for f in report.critical}
    rows = []
    worst_first = sorted(judged, key=lambda item: (item[0].name not in found, item[0].severity != "critical"))
    for rule, result in worst_first:
        critical = rule.severity == "critical" and rule.name not in held
        style = ("bad" if critical else "warn") if rule.name in found else "good"
        mark = "▲ quarantined" if rule.name in held else {"bad": "✘ failed", "warn": "▲ warning", "good": "✔"}[style]
        hit = found.get(rule.name)
        rows_hit = f"{hit.count} rows: {', '.join(hit.examples)}" if hit and hit.examples else ""
        seen = rows_hit or _number(result["observed"], rule)
        rows.append((f'<span class="{style}">{mark}</span>', escape(rule.name), escape(rule.says), escape(seen)))
    word, style = ("Passed", "good") if report.passed else ("Stopped", "bad")
    counts = (
        f"{report.rows:,} interactions, {report.rules} rules, {len(report.critical)} critical and "
        f"{len(report.warnings)} warning findings, {report.quarantined} rows quarantined{report.waits}."
    )
    here, health = report.docs_path.parent, ""
    if (here / layout.HEALTH / layout.PAGE).exists():
        link = f"{layout.HEALTH}/{layout.PAGE}"
        health = f'<p><a href="{link}">Reward, exploration, arms and drift over time</a></p>'
    lines = [
        f'<h1>Data quality: <span class="{style}">{word}</span></h1><p class="dim">{interval}. {counts}</p>',
        health,
        pages.table(("", "Rule", "Demands", "Found"), rows),
        "<h2>Account of events</h2>" + pages.table(("Events", "Count"), [
            (escape(k.replace("_", " ")), f"{v:,}") for k, v in account.to_dict().items()]) if account else "",
        "<h2>Great Expectations</h2>" + pages.links(here / layout.DATA_DOCS, here),
    ]  # fmt: skip
    report.docs_path.write_text(pages.page(f"Data quality, {interval}", "".join(lines)), encoding="utf-8")


def _number(observed: object, rule: Rule) -> str:
    """What was found, with what is allowed."""
    if not isinstance(observed, int | float):
        return ""
    signs = (("min_value", "≥"), ("max_value", "≤"))
    allowed = [f"{sign} {_plain(rule.limits[name])}" for name, sign in signs if name in rule.limits]
    return f"{_plain(observed)} ({', '.join(allowed)})"


def _plain(value: float) -> str:
    """Counts whole, other numbers to three digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.3g}"
