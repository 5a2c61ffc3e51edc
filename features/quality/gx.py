"""Great Expectations, and the only file that knows it: judges the rules of rules.py, documents the outcome.

    QualityFailed(RuntimeError)   a critical rule failed: names rule, count and three event ids

`check` reports, `report.or_raise()` stops. Rows that break a row rule are written to `quarantine.parquet` beside the
pages, with the rules' names; while they are few in their hour they are held and stop nothing
(interactions/quarantine.py). Rows come in parts, whose results are put together (merged_results.py). The pages are
plain HTML: no script, no outside request.
"""

import hashlib
import logging
import os
import shutil
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.interactions.parts.interval_rows import ROW, IntervalRows
from croupier.features.interactions.quarantine import HELD, States
from croupier.features.interactions.versions import empty
from croupier.features.quality import audit, broken_rows, drift, rules, summary
from croupier.features.quality.audit import Audit
from croupier.features.quality.findings import QualityReport
from croupier.features.quality.merged_results import PARTIAL, MergedResult
from croupier.features.quality.pages import health_page, offline_docs, overview_page
from croupier.features.quality.pages.overview_page import Judged
from croupier.features.quality.rules import UNIQUE, Rule
from croupier.features.quality.summary import Expected
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.features.utc import to_us

_FINGERPRINT = "pandas_data_fingerprint"  # of a frame, in what GX says of a batch
_NO_EXCEPTION = {"raised_exception": False, "exception_traceback": None, "exception_message": None}


def check(
    log: IntervalRows,
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
    """Judge interactions (arrow.INTERACTIONS) of [start, end), of which some are in memory at a time, and those that
    broke a rule. Writes the pages (`index.html`) into `folder`, and rows that broke a rule into `quarantine` (default:
    `folder`): not every reader of pages may see rows.
    With `encoder`, features are held against its training window; with `arms`, candidates against that catalogue; the
    propensity audit adds to the evidence of `earlier` intervals. `pages=False` leaves out GX's own pages and the one on
    the log's health. `limit`: the share of an hour's rows that may break row rules; `quarantined`: by hour, what is in
    quarantine already: of these, released rows pass, and held ones count in the share."""
    row_rules = rules.row_rules(reward, to_us(start), to_us(end))
    interval = f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} {end.tzinfo}"
    judge = Judge((interval, start), pages=pages)
    judged, found = _judged_rows(judge, log, row_rules)
    expected = Expected(account=account, encoder=encoder, arms=arms, audit=_continued(found, earlier or {}))
    measures = summary.measures(log, expected)
    numbers = judge.suite("interactions summary", [m.rule for m in measures])
    numbers.add(pl.DataFrame({m.rule.column: [m.value] for m in measures}))
    folder.mkdir(parents=True, exist_ok=True)
    broken = broken_rows.found(log, judged)
    judged = broken_rows.released(broken, [*judged, *numbers.judged(1)], quarantined or {})
    if pages:
        judge.document(folder / layout.DATA_DOCS)
    broken = broken_rows.quarantine(
        log, broken, judged, quarantine or folder, limit=limit, quarantined=quarantined or {}
    )
    held = broken.filter(state=HELD)[ROW].to_list()
    report = QualityReport(
        rules=len(judged),
        rows=len(log),
        critical=tuple(broken_rows.findings(judged, broken, "critical", without=held)),
        warnings=tuple(broken_rows.findings(judged, broken, "warning")),
        held=tuple(broken_rows.findings(judged, broken, "critical", only=held)),
        docs_path=folder / layout.PAGE,
        quarantined=len(broken),
        audit=found,
        limit=limit,
        broken=broken.drop(ROW),
    )
    if pages and len(log):
        health_page.write(drift.health(log, encoder=encoder), folder / layout.HEALTH)
    overview_page.write(report, judged, account, interval)
    return report


def _judged_rows(judge: "Judge", log: IntervalRows, row_rules: Sequence[Rule]) -> tuple[Judged, Audit]:
    """What was found by each rule about rows, and the evidence of the propensity audit. What compares rows with each
    other is judged by shards, in each of which all rows of an event id are together."""
    suite, found = judge.suite("interactions", row_rules), Audit()
    alone = [rule for rule in row_rules if rule.expectation != UNIQUE]
    together = [rule for rule in row_rules if rule.expectation == UNIQUE]
    for part in log.numbered(*rules.COLUMNS, *audit.COLUMNS) if len(log) else [empty().with_row_index(ROW)]:
        facts = rules.row_facts(part)
        found = audit.total([found, audit.evidence(part.filter(rules.sound(facts)))])
        suite.add(facts.select(part[ROW], pl.all()), row_rules if log.one_part else alone)
    for shard in () if log.one_part else log.shards("event_id"):
        suite.add(shard, together)
    return suite.judged(len(log)), found


def _continued(found: Audit, earlier: Audit) -> Audit:
    """Groups seen in this interval, with all their evidence so far."""
    return {group: mine + earlier[group] if group in earlier else mine for group, mine in found.items()}


@contextmanager
def _great_expectations() -> Iterator[Any]:
    """The library, which says nothing while in the block."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else 200 lines of set-up in the task's log
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # GX imports deprecated standard modules
        import great_expectations as gx

        yield gx


class Judge:
    """One context of Great Expectations: suites that judge frames, and, with `pages`, what it keeps to document them.
    `run` names and dates the run in the pages, so that the same interval always has the same ones."""

    def __init__(self, run: tuple[str, datetime], *, pages: bool) -> None:
        with _great_expectations() as gx:
            self._context = gx.get_context(mode="ephemeral")
            self._context.variables.progress_bars = {"globally": False}
            self._run_id = gx.RunIdentifier(*run) if pages else None

    def suite(self, title: str, rules: Sequence[Rule]) -> "JudgedFrame":
        """Returns the rules of a frame, which has seen none of its rows yet."""
        return JudgedFrame(self._context, title, rules, self._run_id)

    def document(self, site: Path) -> None:
        """Writes GX's Data Docs of what was judged, in place of what lay in `site`."""
        shutil.rmtree(site, ignore_errors=True)
        store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site)}
        with _great_expectations():
            self._context.add_data_docs_site(
                "croupier",
                {
                    "class_name": "SiteBuilder",
                    "store_backend": store,
                    "show_how_to_buttons": False,
                    "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
                },
            )
            self._context.build_data_docs(site_names=["croupier"])
        offline_docs.offline(site)


class JudgedFrame:
    """A suite, the rules of one frame, and what Great Expectations found of its rows so far, which come in parts."""

    def __init__(self, context: Any, title: str, rules: Sequence[Rule], run_id: Any) -> None:
        self._context, self._title, self._run_id = context, title, run_id
        self._rules = {rule.name: rule for rule in rules}
        self._found = {rule.name: MergedResult() for rule in rules}
        asset = context.data_sources.add_pandas(title).add_dataframe_asset("log")
        self._interval = asset.add_batch_definition_whole_dataframe("interval")
        self._none, self._fingerprints = pl.DataFrame(), list[str]()

    def add(self, part: pl.DataFrame, rules: Iterable[Rule] | None = None) -> None:
        """Judges a part of the rows by these rules (default: all). Raises RuntimeError where GX could not evaluate a
        rule at all."""
        asked = [rule.name for rule in (self._rules.values() if rules is None else rules)]
        self._none = self._none if self._none.width else part.clear()
        with _great_expectations() as gx:
            batch = self._interval.get_batch({"dataframe": part.to_pandas()})
            validation = batch.validate(self._suite(gx, asked), result_format=_form(part))
            self._fingerprints.append(validation.meta["batch_markers"][_FINGERPRINT])
            for result in validation.results:
                error = (result.exception_info or {}).get("exception_message")
                if error:
                    raise RuntimeError(f"Great Expectations could not judge {result.expectation_config.meta}: {error}")
                self._found[_rule_of(result)].add(bool(result.success), result.result, len(part))

    def judged(self, rows: int) -> Judged:
        """Returns each rule with what was found, which is kept for the pages. Raises RuntimeError where a rule has not
        judged each of the `rows` once: what was not looked at has not passed."""
        for name, found in self._found.items():
            if found.judged != rows:
                raise RuntimeError(
                    f"{self._title}: Great Expectations judged {found.judged:,} rows by {name}, expected each of "
                    f"{rows:,} once; did the log change meanwhile? Validate again"
                )
        if self._run_id is not None:
            self._keep()
        return [(rule, self._plain(name)) for name, rule in self._rules.items()]

    def result(self, name: str) -> dict[str, Any]:
        """Returns the result of one rule, as GX names its parts."""
        return self._found[name].whole()

    def _suite(self, gx: Any, names: Iterable[str]) -> Any:
        rules = [self._rules[name] for name in names]
        expectations = [
            getattr(gx.expectations, r.expectation)(
                column=r.column, severity=r.severity, meta={"rule": r.name}, description=_described(r), **r.limits
            )
            for r in rules
        ]
        return gx.ExpectationSuite(self._title, expectations=expectations)

    def _keep(self) -> None:
        """Makes a checkpoint keep a validation, for the pages: one of no rows, whose results become those of all."""
        with _great_expectations() as gx:
            suite = self._context.suites.add(self._suite(gx, self._rules))
            definition = gx.ValidationDefinition(name=self._title, data=self._interval, suite=suite)
            checks = [self._context.validation_definitions.add(definition)]
            checkpoint = self._context.checkpoints.add(
                gx.Checkpoint(name=self._title, result_format=_form(self._none), validation_definitions=checks)
            )
            run = checkpoint.run({"dataframe": self._none.to_pandas()}, run_id=self._run_id)
            for key, validation in run.run_results.items():
                self._of_all_rows(validation)
                self._context.validation_results_store.set(key, validation)

    def _of_all_rows(self, validation: Any) -> None:
        for result in validation.results:
            found = self._found[_rule_of(result)]
            result.success, result.result = found.success, found.whole()
            result.exception_info = _NO_EXCEPTION
        validation.meta["batch_markers"][_FINGERPRINT] = _joined(self._fingerprints)
        n, good = len(validation.results), sum(bool(result.success) for result in validation.results)
        validation.success = good == n
        validation.statistics = {
            "evaluated_expectations": n,
            "successful_expectations": good,
            "unsuccessful_expectations": n - good,
            "success_percent": good / n * 100,
        }

    def _plain(self, name: str) -> dict[str, Any]:
        """What we read of a GX result."""
        found = self._found[name]
        return {"success": found.success, "rows": found.rows, "observed": found.whole().get("observed_value")}


def _form(part: pl.DataFrame) -> dict[str, Any]:
    index = [c for c in (ROW, "event_id") if c in part.columns]
    form = {"result_format": "COMPLETE", "partial_unexpected_count": PARTIAL}
    return form | ({"unexpected_index_column_names": index} if index else {})


def _joined(fingerprints: Sequence[str]) -> str:
    """The fingerprint of a frame by those of its parts: that of its only part, or the MD5 of all."""
    if len(fingerprints) == 1:
        return fingerprints[0]
    return hashlib.md5("".join(fingerprints).encode(), usedforsecurity=False).hexdigest()


def _rule_of(result: Any) -> str:
    return str(result.expectation_config.meta["rule"])


def _described(rule: Rule) -> str:
    """What GX's pages show: the rule by name, in words, and its limits."""
    limits = ", ".join(
        f"{k.replace('_', ' ')} {v:.6g}" if isinstance(v, float) else f"{k.replace('_', ' ')} {v}"
        for k, v in rule.limits.items()
    )
    return f"{rule.name}: {rule.says}" + (f" ({limits})" if limits else "")
