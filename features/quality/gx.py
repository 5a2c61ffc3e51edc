"""Great Expectations, and the only file that knows it: judges the rules of rules.py, documents the outcome.

The pages are plain HTML: no script, no outside request.
"""

import logging
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import polars as pl

from croupier.features.quality.pages import offline_docs
from croupier.features.quality.rules import Rule

Judged = list[tuple[Rule, dict[str, Any]]]  # of each rule: success, rows (their `row`), observed


class Expectations:
    """A run of Great Expectations, which judges one frame after the other and keeps none of them."""

    def __init__(self, gx: Any, run: tuple[str, datetime] | None) -> None:
        self._gx, self._context = gx, gx.get_context(mode="ephemeral")
        self._context.variables.progress_bars = {"globally": False}
        self._run = gx.RunIdentifier(*run) if run else None

    @classmethod
    @contextmanager
    def opened(cls, run: tuple[str, datetime], site: Path | None) -> Iterator[Self]:
        """A run, whose pages are in `site` after the block. `run` names and dates it in them, so that the same interval
        always has the same pages; without `site` there are none."""
        os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
        logging.getLogger("great_expectations").setLevel(logging.WARNING)  # else 200 lines of set-up in the task's log
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # GX imports deprecated standard modules
            import great_expectations as gx

            found = cls(gx, run if site else None)
            yield found
            if site:
                _document(found._context, site)

    def judge(self, title: str, frame: pl.DataFrame, rules: Sequence[Rule]) -> Judged:
        """By each rule, what GX found. A checkpoint, which keeps it for the pages, takes half as long again as the
        results alone, which are asked for where there are no pages."""
        gx, context = self._gx, self._context
        suite = gx.ExpectationSuite(title, expectations=[_expectation(gx, rule) for rule in rules])
        source = context.data_sources.add_pandas(title)
        interval = source.add_dataframe_asset("log").add_batch_definition_whole_dataframe("interval")
        data = {"dataframe": frame.to_pandas()}
        index = [c for c in ("row", "event_id") if c in frame.columns]
        form = {"result_format": "COMPLETE"} | ({"unexpected_index_column_names": index} if index else {})
        if self._run is None:
            found = interval.get_batch(data).validate(suite, result_format=form)
        else:
            definition = gx.ValidationDefinition(name=title, data=interval, suite=context.suites.add(suite))
            checks = [context.validation_definitions.add(definition)]
            checkpoint = context.checkpoints.add(
                gx.Checkpoint(name=title, result_format=form, validation_definitions=checks)
            )
            (found,) = checkpoint.run(data, run_id=self._run).run_results.values()
        context.data_sources.delete(title)  # and the frame with it
        by_name = {r["expectation_config"]["meta"]["rule"]: r for r in found.results}
        return [(rule, _plain(by_name[rule.name])) for rule in rules]


def _expectation(gx: Any, rule: Rule) -> Any:
    """The rule as GX knows it."""
    of, meta = getattr(gx.expectations, rule.expectation), {"rule": rule.name}
    return of(column=rule.column, severity=rule.severity, meta=meta, description=_described(rule), **rule.limits)


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
