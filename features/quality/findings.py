"""What a check of the data found, as values and as an error. Its page is overview_page.py.

QualityFailed(RuntimeError)   a critical rule failed: names rule, count and three event ids
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import polars as pl

from croupier.features.interactions.quarantine import STOPPED
from croupier.features.quality.audit import Audit
from croupier.features.utc import hour_name


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
        """Returns the report. Raises QualityFailed if a critical rule failed."""
        if not self.passed:
            raise QualityFailed(self.error)
        return self

    def to_dict(self) -> dict[str, Any]:
        """JSON; the audit's evidence and the rows go to the store instead (audit.py, interactions/quarantine.py)."""
        row = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("audit", "broken")}
        findings = {name: [asdict(f) for f in row[name]] for name in ("critical", "warnings", "held")}
        return {"passed": self.passed} | row | findings | {"docs_path": str(self.docs_path)}
