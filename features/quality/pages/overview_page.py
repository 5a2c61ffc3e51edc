"""The page of a check of the data that people open first: the verdict, every rule with what was found, the account."""

from collections.abc import Mapping, Sequence
from typing import Any

from croupier.features.interactions.account import Account
from croupier.features.quality.findings import Finding, QualityReport
from croupier.features.quality.pages.offline_docs import links
from croupier.features.quality.pages.page import render
from croupier.features.quality.rules import Rule
from croupier.features.store import layout

Judged = Sequence[tuple[Rule, Mapping[str, Any]]]  # each rule with {success, rows, observed}
MARKS = {"bad": "✘ failed", "warn": "▲ warning", "good": "✔ passed"}


def write(report: QualityReport, judged: Judged, account: Account | None, interval: str) -> None:
    """Writes the page to `report.docs_path`, with links to the pages that lie beside it."""
    folder = report.docs_path.parent
    page = render(
        __package__,
        "overview_page.html.j2",
        title=f"Data quality, {interval}",
        report=report,
        interval=interval,
        drawn=(folder / layout.HEALTH / layout.PAGE).exists(),
        rules=_rules(report, judged),
        account=account.to_dict() if account else {},
        docs=links(folder / layout.DATA_DOCS, folder),
    )
    report.docs_path.write_text(page, encoding="utf-8")


def _rules(report: QualityReport, judged: Judged) -> list[dict[str, str]]:
    """Every rule as the page shows it, the worst first."""
    found = {f.rule: f for f in (*report.held, *report.critical, *report.warnings)}
    held = {f.rule for f in report.held} - {f.rule for f in report.critical}
    worst_first = sorted(judged, key=lambda item: (item[0].name not in found, item[0].severity != "critical"))
    rows = []
    for rule, result in worst_first:
        critical = rule.severity == "critical" and rule.name not in held
        style = ("bad" if critical else "warn") if rule.name in found else "good"
        mark = (
            "▲ quarantined"
            if rule.name in held
            else {"bad": "✘ failed", "warn": "▲ warning", "good": "✔ passed"}[style]
        )
        seen = _rows_hit(found.get(rule.name)) or _number(result["observed"], rule)
        rows.append({"style": style, "mark": mark, "name": rule.name, "says": rule.says, "found": seen})
    return rows


def _rows_hit(finding: Finding | None) -> str:
    return f"{finding.count} rows: {', '.join(finding.examples)}" if finding and finding.examples else ""


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
