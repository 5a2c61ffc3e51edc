"""How a promise to a declared baseline stands: its running value beside the baseline's, a bound, and the share now."""

from croupier.features.utc import hour_name
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.beside_baseline import BesideBaseline
from croupier.serving.constraints.one_standing import Standing
from croupier.serving.constraints.promise import PromiseLedger, promised


def conservative(w: Workspace) -> list[Standing]:
    """One, where app.toml declares it; `least` is with the declared confidence, of the estimate of the baseline's."""
    beside = BesideBaseline.of(w.spec.safety)
    if beside is None:
        return []
    found, ledger = promised(w), PromiseLedger.read(w.store)
    live = found is not None and found[0] == beside and found[1]["confidence"] == w.spec.safety.confidence
    known = ledger if ledger and found and live and ledger.declared == found[1] else None
    value = known.value if known else None
    some = value if value and value.rows and value.baseline else None
    return [
        Standing(
            name="conservative",
            kind="safety",
            target=f"running value ≥ {1 - beside.alpha:g} of that of {beside.baseline}, at all times, with probability "
            f"{w.spec.safety.confidence:g}",
            live=live,
            decisions=round(value.rows) if value else 0,
            so_far=some.value / some.baseline if some else None,
            least=1 - beside.alpha + some.lower / some.baseline if some else None,
            most=None,
            broken=0,
            share=_share(w, known, beside),
            until=hour_name(known.through) if known else "",
        )
    ]


def _share(w: Workspace, ledger: PromiseLedger | None, beside: BesideBaseline) -> float:
    """The policy's share in a decision now."""
    allowance = kept_multipliers.now(w.store).multipliers.allowance
    mine = ledger is not None and allowance is not None and allowance.promise == ledger.promise
    return max(allowance.share, beside.alpha) if allowance and mine else beside.alpha
