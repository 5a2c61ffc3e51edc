"""Great Expectations, and the only file that knows it: judges the rules of rules.py, documents the outcome.

    QualityFailed(RuntimeError)   a critical rule failed: names rule, count and three event ids

`check` reports, `report.or_raise()` stops. Rows that break a row rule are written to `quarantine.parquet` beside the
pages, with the rules' names; while they are few in their hour they are held and stop nothing
(interactions/quarantine.py). The pages
are plain HTML: no script, no outside request.
"""

import logging
import os
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.quarantine import HELD, RELEASED, STOPPED, States, stopped_hours
from croupier.features.quality import audit, drift, rules, summary
from croupier.features.quality.audit import Audit
from croupier.features.quality.findings import Finding, QualityReport
from croupier.features.quality.pages import health_page, offline_docs, overview_page
from croupier.features.quality.pages.overview_page import Judged
from croupier.features.quality.rules import Rule, Severity
from croupier.features.quality.summary import Expected
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.utc import HOUR, to_us

EXAMPLES = 3


def check(
    df: pl.DataFrame,
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
    row_rules = rules.row_rules(reward, to_us(start), to_us(end))
    facts = rules.row_facts(df)
    found = audit.evidence(df.filter(rules.sound(facts)))
    expected = Expected(account=account, encoder=encoder, arms=arms, audit=_continued(found, earlier or {}))
    measures = summary.measures(df, expected)
    numbers = pl.DataFrame({m.rule.column: [m.value] for m in measures})
    frames = {
        "interactions": (facts.with_row_index("row"), row_rules),
        "interactions summary": (numbers, [m.rule for m in measures]),
    }
    interval = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {end.tzinfo}"
    folder.mkdir(parents=True, exist_ok=True)
    judged = _released(
        df, _judge(frames, (interval, start), folder / layout.DATA_DOCS if pages else None), quarantined or {}
    )
    broken = _quarantine(df, judged, quarantine or folder, limit=limit, quarantined=quarantined or {})
    held = broken.filter(state=HELD)["row"].to_list()
    report = QualityReport(
        rules=len(judged),
        rows=len(df),
        critical=tuple(_findings(judged, df, "critical", without=held)),
        warnings=tuple(_findings(judged, df, "warning")),
        held=tuple(_findings(judged, df, "critical", only=held)),
        docs_path=folder / layout.PAGE,
        quarantined=len(broken),
        audit=found,
        limit=limit,
        broken=broken.drop("row"),
    )
    if pages and len(df):
        health_page.write(drift.health(df, encoder=encoder), folder / layout.HEALTH)
    overview_page.write(report, judged, account, interval)
    return report


def _released(df: pl.DataFrame, judged: Judged, quarantined: Mapping[str, States]) -> Judged:
    """What was found, without the rows that a person released."""
    events = {event for states in quarantined.values() for event, state in states.items() if state == RELEASED}
    passing = set(df.with_row_index().filter(pl.col("event_id").is_in(events))["index"]) if events else set[int]()
    out = []
    for rule, result in judged:
        left = [row for row in result["rows"] if row not in passing]
        success = result["success"] or (bool(result["rows"]) and not left)
        out.append((rule, {**result, "rows": left, "success": success}))
    return out


def _continued(found: Audit, earlier: Audit) -> Audit:
    """Groups seen in this interval, with all their evidence so far."""
    return {group: mine + earlier[group] if group in earlier else mine for group, mine in found.items()}


def _judge(
    frames: Mapping[str, tuple[pl.DataFrame, Sequence[Rule]]], run: tuple[str, datetime], site: Path | None
) -> list[tuple[Rule, dict[str, Any]]]:
    """Run each frame's rules as a GX checkpoint, and build the pages. `run` names and dates the run in them, so that
    the same interval always has the same pages."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else 200 lines of set-up in the task's log
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX imports deprecated standard modules
        import great_expectations as gx

        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        out = []
        for title, (frame, suite) in frames.items():
            out += _run(gx, context, (title, frame, suite), gx.RunIdentifier(*run) if site else None)
        if site:
            _document(context, site)
    return out


def _document(context: Any, site: Path) -> None:
    """GX's Data Docs of this context's validations, in place of what lay in `site`."""
    shutil.rmtree(site, ignore_errors=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    context.add_data_docs_site(
        "croupier",
        {
            "class_name": "SiteBuilder",
            "store_backend": store,
            "show_how_to_buttons": False,
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        },
    )
    context.build_data_docs(site_names=["croupier"])
    offline_docs.offline(site)


def _run(
    gx: Any, context: Any, judged: tuple[str, pl.DataFrame, Sequence[Rule]], run_id: Any
) -> list[tuple[Rule, dict[str, Any]]]:
    """By each rule, what GX found. A checkpoint, which keeps it for the pages under `run_id`, takes half as long again
    as the results alone, which None asks for."""
    title, frame, rules = judged
    expectations = [
        getattr(gx.expectations, r.expectation)(
            column=r.column, severity=r.severity, meta={"rule": r.name}, description=_described(r), **r.limits
        )
        for r in rules
    ]
    suite = gx.ExpectationSuite(title, expectations=expectations)
    asset = context.data_sources.add_pandas(title).add_dataframe_asset("log")
    interval, data = asset.add_batch_definition_whole_dataframe("interval"), {"dataframe": frame.to_pandas()}
    index = [c for c in ("row", "event_id") if c in frame.columns]
    form = {"result_format": "COMPLETE"} | ({"unexpected_index_column_names": index} if index else {})
    if run_id is None:
        found = interval.get_batch(data).validate(suite, result_format=form)
    else:
        definition = gx.ValidationDefinition(name=title, data=interval, suite=context.suites.add(suite))
        checks = [context.validation_definitions.add(definition)]
        checkpoint = context.checkpoints.add(
            gx.Checkpoint(name=title, result_format=form, validation_definitions=checks)
        )
        (found,) = checkpoint.run(data, run_id=run_id).run_results.values()
    by_name = {r["expectation_config"]["meta"]["rule"]: r for r in found.results}
    return [(rule, _plain(by_name[rule.name])) for rule in rules]


def _described(rule: Rule) -> str:
    """What GX's pages show: the rule by name, in words, and its limits."""
    limits = ", ".join(
        f"{k.replace('_', ' ')} {v:.6g}" if isinstance(v, float) else f"{k.replace('_', ' ')} {v}"
        for k, v in rule.limits.items()
    )
    return f"{rule.name}: {rule.says}" + (f" ({limits})" if limits else "")


def _plain(result: Any) -> dict[str, Any]:
    """What we read of a GX result. Raises RuntimeError when GX could not evaluate the rule at all."""
    error = (result.exception_info or {}).get("exception_message")
    if error:
        raise RuntimeError(f"Great Expectations could not judge {result.expectation_config.meta}: {error}")
    rows = [r["row"] for r in result.result.get("unexpected_index_list") or () if "row" in r]
    return {"success": bool(result.success), "rows": rows, "observed": result.result.get("observed_value")}


def _findings(
    judged: Judged,
    df: pl.DataFrame,
    severity: Severity,
    *,
    only: Collection[int] | None = None,
    without: Collection[int] = (),
) -> Iterator[Finding]:
    """Yields a finding for each rule that failed: by `only` these rows, or without some."""
    of, off = None if only is None else set(only), set(without)
    for rule, result in judged:
        rows = [row for row in result["rows"] if row not in off and (of is None or row in of)]
        if rule.severity == severity and not result["success"] and (rows or not (result["rows"] or of is not None)):
            yield Finding(
                rule=rule.name,
                says=rule.says,
                count=len(rows) or 1,
                observed=result["observed"],
                examples=tuple(df["event_id"].gather(rows[:EXAMPLES]).to_list()),
            )


def _quarantine(
    df: pl.DataFrame, judged: Judged, folder: Path, *, limit: float, quarantined: Mapping[str, States]
) -> pl.DataFrame:
    """Failing rows: their index (`row`), the names of the rules they broke, comma-separated, and their `state`: held
    while they are few in their hour, else stopped. They are written into `folder` too."""
    broken: dict[int, list[str]] = {}
    for rule, result in judged:
        for row in result["rows"]:
            broken.setdefault(row, []).append(rule.name)
    rows = sorted(broken)
    names = pl.Series("rule", [",".join(broken[row]) for row in rows], dtype=pl.String)
    found = df[rows].with_columns(names, row=pl.Series(rows, dtype=pl.Int64))
    held = {hour: sum(state == HELD for state in states.values()) for hour, states in quarantined.items()}
    stopped = stopped_hours(df["at"], found["at"], held, limit)
    state = pl.when((pl.col("at") // HOUR * HOUR).is_in(stopped)).then(pl.lit(STOPPED)).otherwise(pl.lit(HELD))
    path = folder / layout.BROKEN_ROWS
    path.unlink(missing_ok=True)
    if rows:
        found.drop("row").write_parquet(path)
    return found.with_columns(state=state)
