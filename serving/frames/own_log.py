"""A log of one's own becomes an app: its app.toml and catalogue from a sample, then its rows in the app's log."""

from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl

from croupier.features.encoding import catalogue
from croupier.features.exchange.arm_ids import alike
from croupier.features.exchange.coerce import DeclaredFeatures
from croupier.features.exchange.guess import Given, guess_app, without_log
from croupier.features.exchange.importing import Imported, import_log
from croupier.features.exchange.tables.propensities import DERIVED
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.frames.log_read import source_of


@dataclass(frozen=True, kw_only=True)
class DeclaredApp:
    """`notes`: what was guessed, in sentences for the owner to correct."""

    app_toml: Path
    arms: int
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Appended:
    """`reasons`: rows that were skipped, by reason; `warnings`: sentences about ids that nearly agree, and
    probabilities that were rounded."""

    done: Imported
    reasons: dict[str, int]
    warnings: list[str]

    @property
    def nothing(self) -> bool:
        """True if rows were skipped and none could be taken."""
        return self.done.skipped > 0 and self.done.decisions + self.done.repeated == 0


def unkept(done: Imported) -> list[str]:
    """Sentences on rows that were read and are not, or not as they stand, in the log."""
    out = []
    if done.rewarded_again:
        out.append(
            f"of the repeated rows {done.rewarded_again:,} bring a reward that the log did not hold; of two of one "
            'kind and one time the smaller counts where app.toml says how = "first", the larger with "max"'
        )
    if done.conflicting:
        out.append(
            f"refused {done.conflicting:,}: their event id is another decision's in this log; ids have to be unique "
            "over all files"
        )
    if done.thinned:
        out.append(f"the log is full: it did not keep {done.thinned:,} decisions (CROUPIER_SPOOL_MAX_BYTES)")
    return out


def refuse_declared(w: Workspace, *, anew: bool) -> Path:
    """Where app.toml belongs. Raises ValueError where it is there already, unless `anew`."""
    target = w.home / layout.APP_TOML
    if target.exists() and not anew:
        raise ValueError(f"{target} is there already; edit it, or say --force to write it anew")
    return target


def declare(
    w: Workspace, log: Path | pl.DataFrame, columns: dict[str, str], *, anew: bool = False, given: Given | None = None
) -> DeclaredApp:
    """Writes app.toml and catalogue.json as the log suggests; what is `given` is not guessed. Raises ValueError
    where they are there already, unless `anew`, or where no row of the log can be used."""
    target = refuse_declared(w, anew=anew)
    source = source_of(log, unit_key=w.unit_key, columns=columns)
    guess, arms = guess_app(source, given), source.arms()
    w.home.mkdir(parents=True, exist_ok=True)
    draft = w.home / layout.APP_TOML_DRAFT  # in place last: it is what makes an app
    draft.write_text(guess.toml)
    arms = DeclaredFeatures(AppSpec.read(draft)).arms(arms)
    catalogue.write(w.home / layout.CATALOGUE, arms)
    there = {role: column for role, column in source.named.items() if column != DERIVED}
    (w.home / layout.IMPORT_COLUMNS).write_bytes(orjson.dumps(there, option=orjson.OPT_INDENT_2))
    draft.replace(target)
    notes = (*source.notes, *alike(arm.arm_id for arm in arms), *guess.notes)
    return DeclaredApp(app_toml=target, arms=len(arms), notes=notes)


def declare_without_log(w: Workspace, kind: str, given: Given, *, anew: bool = False) -> DeclaredApp:
    """Writes the app.toml of what is `given`, without features, and an empty catalogue. Raises ValueError where they
    are there already, unless `anew`."""
    target, guess = refuse_declared(w, anew=anew), without_log(kind, given)
    w.home.mkdir(parents=True, exist_ok=True)
    draft = w.home / layout.APP_TOML_DRAFT
    draft.write_text(guess.toml)
    AppSpec.read(draft)
    catalogue.write(w.home / layout.CATALOGUE, [])
    draft.replace(target)
    return DeclaredApp(app_toml=target, arms=0, notes=guess.notes)


def append(w: Workspace, log: Path | pl.DataFrame, columns: dict[str, str]) -> Appended:
    """Appends the log's rows to the app's own log; rows that are there already change nothing. `columns` stand before
    those that `declare` found."""
    spec = w.spec  # whoever misspelt the app makes no folder and no key
    known = w.home / layout.IMPORT_COLUMNS
    found = orjson.loads(known.read_bytes()) if known.exists() else {}
    source = source_of(log, unit_key=w.unit_key, columns=found | columns)
    spool = w.spool()
    try:
        done = import_log(spool, source, spec, w.arms() if spec.pricing.declared else ())
    finally:
        spool.close()
    warnings = [*alike(arm.arm_id for arm in source.arms()), *source.rounding.said()]
    return Appended(done=done, reasons=dict(source.skipped), warnings=warnings)
