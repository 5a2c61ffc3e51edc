"""Great Expectations, and the only file that knows it: judges the rules of features/rules.py, documents the outcome.

    QualityFailed(RuntimeError)   a critical rule failed: names rule, count and three event ids

`check` reports, `report.or_raise()` stops. Rows that break a row rule are written to `quarantine.parquet` beside the
pages, with the rules' names. The pages are plain HTML: no script, no outside request.
"""

import logging
import os
import shutil
import warnings
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from features import audit, docs, drift, rules, summary
from features.account import Account
from features.audit import Audit
from features.encoder import Encoder
from features.findings import Finding, QualityFailed, QualityReport, overview
from features.rules import Rule
from features.spec import RewardSpec
from features.summary import Expected

EXAMPLES = 3
__all__ = ["QualityFailed", "QualityReport", "check"]


def check(
    df: pl.DataFrame, *, reward: RewardSpec, start: datetime, end: datetime, folder: Path,
    encoder: Encoder | None = None, account: Account | None = None, arms: Collection[str] | None = None,
    earlier: Audit | None = None, pages: bool = True, quarantine: Path | None = None,
) -> QualityReport:  # fmt: skip
    """Judge interactions (schema.INTERACTIONS) of [start, end). Writes the pages (`index.html`) into `folder`,
    and rows that broke a rule into `quarantine` (default: `folder`): not every reader of pages may see rows.
    With `encoder`, features are held against its training window; with `arms`, candidates against that catalogue; the
    propensity audit adds to the evidence of `earlier` intervals. `pages=False` leaves out GX's own pages and the one on
    the log's health."""
    row_rules = rules.row_rules(reward, _micros(start), _micros(end))
    facts = rules.row_facts(df)
    found = audit.evidence(df.filter(rules.sound(facts)))
    expected = Expected(account=account, encoder=encoder, arms=arms, audit=_continued(found, earlier or {}))
    measures = summary.measures(df, expected)
    numbers = pl.DataFrame({m.rule.column: [m.value] for m in measures})
    frames = {"interactions": (facts.with_row_index("row"), row_rules),
              "interactions summary": (numbers, [m.rule for m in measures])}  # fmt: skip
    interval = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {end.tzinfo}"
    folder.mkdir(parents=True, exist_ok=True)
    judged = _judge(frames, (interval, start), folder / "docs" if pages else None)
    findings = [_finding(rule, result, df) for rule, result in judged if not result["success"]]
    severity = {rule.name: rule.severity for rule, _ in judged}
    critical, warned = ([f for f in findings if severity[f.rule] == s] for s in ("critical", "warning"))
    report = QualityReport(
        passed=not critical, rules=len(judged), rows=len(df), critical=tuple(critical), warnings=tuple(warned),
        docs_path=folder / "index.html", quarantined=_quarantine(df, judged, quarantine or folder), audit=found,
    )  # fmt: skip
    if pages and len(df):
        drift.write(drift.health(df, encoder=encoder), folder / "health")
    overview(report, judged, account, interval)
    return report


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
            out += _run(gx, context, (title, frame, suite), gx.RunIdentifier(*run))
        if site:
            _document(context, site)
    return out


def _document(context: Any, site: Path) -> None:
    """GX's Data Docs of this context's validations, in place of what lay in `site`."""
    shutil.rmtree(site, ignore_errors=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
    context.add_data_docs_site("croupier", {
        "class_name": "SiteBuilder", "store_backend": store, "show_how_to_buttons": False,
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    })  # fmt: skip
    context.build_data_docs(site_names=["croupier"])
    docs.offline(site)


def _run(
    gx: Any, context: Any, judged: tuple[str, pl.DataFrame, Sequence[Rule]], run_id: Any
) -> list[tuple[Rule, dict[str, Any]]]:
    title, frame, suite = judged
    expectations = [
        getattr(gx.expectations, r.expectation)(
            column=r.column, severity=r.severity, meta={"rule": r.name}, description=_described(r), **r.limits)
        for r in suite
    ]  # fmt: skip
    asset = context.data_sources.add_pandas(title).add_dataframe_asset("log")
    definition = gx.ValidationDefinition(
        name=title, data=asset.add_batch_definition_whole_dataframe("interval"),
        suite=context.suites.add(gx.ExpectationSuite(title, expectations=expectations)),
    )  # fmt: skip
    index = [c for c in ("row", "event_id") if c in frame.columns]
    form = {"result_format": "COMPLETE"} | ({"unexpected_index_column_names": index} if index else {})
    checkpoint = gx.Checkpoint(name=title, result_format=form,
                               validation_definitions=[context.validation_definitions.add(definition)])  # fmt: skip
    run = context.checkpoints.add(checkpoint).run({"dataframe": frame.to_pandas()}, run_id=run_id)
    (validation,) = run.run_results.values()
    by_name = {r["expectation_config"]["meta"]["rule"]: r for r in validation.results}
    return [(rule, _plain(by_name[rule.name])) for rule in suite]


def _described(rule: Rule) -> str:
    """What GX's pages show: the rule by name, in words, and its limits."""
    limits = ", ".join(f"{k.replace('_', ' ')} {v:.6g}" if isinstance(v, float) else f"{k.replace('_', ' ')} {v}"
                       for k, v in rule.limits.items())  # fmt: skip
    return f"{rule.name}: {rule.says}" + (f" ({limits})" if limits else "")


def _plain(result: Any) -> dict[str, Any]:
    """What we read of a GX result. Raises RuntimeError when GX could not evaluate the rule at all."""
    error = (result.exception_info or {}).get("exception_message")
    if error:
        raise RuntimeError(f"Great Expectations could not judge {result.expectation_config.meta}: {error}")
    rows = [r["row"] for r in result.result.get("unexpected_index_list") or () if "row" in r]
    return {"success": bool(result.success), "rows": rows, "observed": result.result.get("observed_value")}


def _finding(rule: Rule, result: Mapping[str, Any], df: pl.DataFrame) -> Finding:
    rows = result["rows"]
    return Finding(rule=rule.name, says=rule.says, count=len(rows) or 1, observed=result["observed"],
                   examples=tuple(df["event_id"].gather(rows[:EXAMPLES]).to_list()))  # fmt: skip


def _quarantine(df: pl.DataFrame, judged: Sequence[tuple[Rule, dict[str, Any]]], folder: Path) -> int:
    """Failing rows with the names of the rules they broke, comma-separated. Returns how many rows."""
    broken: dict[int, list[str]] = {}
    for rule, result in judged:
        for row in result["rows"]:
            broken.setdefault(row, []).append(rule.name)
    rows = sorted(broken)
    path = folder / "quarantine.parquet"
    path.unlink(missing_ok=True)
    if rows:
        names = pl.Series("rule", [",".join(broken[row]) for row in rows])
        df[rows].with_columns(names).write_parquet(path)
    return len(rows)


def _micros(at: datetime) -> int:
    if at.tzinfo is None:
        raise ValueError(f"interval: found {at!s}, expected a time with zone")
    return round(at.timestamp() * 1e6)
