"""Interactions are judged: `check` reports, `report.or_raise()` stops.

    QualityFailed(RuntimeError)   a critical rule failed: names rule, count and three event ids

An interval is judged part by part, and none of it stays in memory but the rows that break a rule. These are written to
`quarantine.parquet` beside the pages, with the rules' names; while they are few in their hour they are held and stop
nothing (interactions/quarantine.py).
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import polars as pl

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts.interval_rows import IntervalRows, WholeRows
from croupier.features.interactions.quarantine import HELD, States
from croupier.features.interactions.versions import empty
from croupier.features.quality import audit, broken_rows, rules
from croupier.features.quality.audit import Audit
from croupier.features.quality.broken_rows import BrokenRows
from croupier.features.quality.drift import HealthSoFar
from croupier.features.quality.findings import QualityReport
from croupier.features.quality.gx import Expectations
from croupier.features.quality.interval.measured import Measured
from croupier.features.quality.interval.span import IntervalSpan
from croupier.features.quality.pages import health_page, overview_page
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.utc import from_us, to_us

ROWS, SUMMARY = "interactions", "interactions summary"


def check(
    found: pl.DataFrame | IntervalRows,
    *,
    reward: RewardSpec,
    start: datetime,
    end: datetime,
    folder: Path,
    encoder: Encoder | None = None,
    account: Account | None = None,
    arms: Collection[str] | None = None,
    earlier: Audit | None = None,
    pages: bool = True,
    quarantine: Path | None = None,
    limit: float = 0.0,
    quarantined: Mapping[str, States] | None = None,
) -> QualityReport:
    """Judge interactions (arrow.INTERACTIONS) of [start, end). Writes the pages (`index.html`) into `folder`,
    and rows that broke a rule into `quarantine` (default: `folder`): not every reader of pages may see rows.
    With `encoder`, features are held against its training window; with `arms`, candidates against that catalogue; the
    propensity audit adds to the evidence of `earlier` intervals. `pages=False` leaves out GX's own pages and the one on
    the log's health. `limit`: the share of an hour's rows that may break row rules; `quarantined`: by hour, what is in
    quarantine already: of these, released rows pass, and held ones count in the share."""
    rows = WholeRows(found) if isinstance(found, pl.DataFrame) else found
    span, row_rules = IntervalSpan.of(rows), rules.row_rules(reward, to_us(start), to_us(end))
    measured, evidence = Measured(account=account, encoder=encoder, arms=arms), Audit()
    health = HealthSoFar(span, encoder=encoder) if pages and span.rows else None
    broken = BrokenRows(row_rules, span.hours, quarantined or {}, limit)
    interval = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {end.tzinfo}"
    folder.mkdir(parents=True, exist_ok=True)
    with Expectations.opened((interval, start), folder / layout.DATA_DOCS if pages else None) as gx:
        row = 0
        for part in rows if span.rows else [empty()]:
            facts = rules.row_facts(part, span.repeated)
            numbered = facts.with_row_index("row", row)
            broken.add(part, gx.judge(_title(part, span), numbered, row_rules), row)
            evidence = audit.total([evidence, audit.evidence(part.filter(rules.sound(facts)))])
            measured.add(part)
            if health is not None:
                health.add(part)
            row += len(part)
        if row != span.rows:
            raise RuntimeError(f"the interval: found {row:,} rows to judge, expected {span.rows:,}; did it change?")
        measures = measured.measures(_continued(evidence, earlier or {}))
        numbers = pl.DataFrame({m.rule.column: [m.value] for m in measures})
        judged = [*broken.judged, *gx.judge(SUMMARY, numbers, [m.rule for m in measures])]
    out = broken.rows()
    broken_rows.write(out, quarantine or folder)
    held = out.filter(state=HELD)["row"].to_list()
    report = QualityReport(
        rules=len(judged),
        rows=span.rows,
        critical=tuple(broken.findings("critical", judged, without=held)),
        warnings=tuple(broken.findings("warning", judged)),
        held=tuple(broken.findings("critical", judged, only=held)),
        docs_path=folder / layout.PAGE,
        quarantined=len(out),
        audit=evidence,
        limit=limit,
        broken=out.drop("row"),
    )
    if health is not None:
        health_page.write(health.health(), folder / layout.HEALTH)
    overview_page.write(report, judged, account, interval)
    return report


def _title(part: pl.DataFrame, span: IntervalSpan) -> str:
    """The name of a part's page: one is all rows, or those from a time on."""
    if len(part) == span.rows:
        return ROWS
    return f"{ROWS} from {from_us(int(part['at'][0])):%Y-%m-%d %H:%M:%S.%f}"


def _continued(found: Audit, earlier: Audit) -> Audit:
    """Groups seen in this interval, with all their evidence so far."""
    return {group: mine + earlier[group] if group in earlier else mine for group, mine in found.items()}
