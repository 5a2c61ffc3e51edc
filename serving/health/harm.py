"""Whether the present release's candidate was taken back because it did harm: what the rollout's state says."""

from croupier.features.schema import ABORTED, RETURNED
from croupier.features.store.storage import Store
from croupier.models.health.watches.rollout import Harm
from croupier.serving.release.rollout_store import read_state

SHOWN = "harm shown"  # begins the reason of such an abort (serving/release/stage_rule.py)


def of_rollout(store: Store) -> Harm | None:
    """Returns the harm that ended the present rollout, or the watch after it; None where nothing did."""
    state = read_state(store)
    if state is None or state.stage not in {ABORTED, RETURNED}:
        return None
    ended = next((entry for entry in reversed(state.history) if entry["reason"].startswith(SHOWN)), None)
    if ended is None:
        return None
    numbers = ended.get("evidence") or {}
    means = {name: numbers.get(f"{name}_mean") for name in ("candidate", "champion")}
    return Harm(release=state.release, at=int(ended["at"]), reason=str(ended["reason"]), **means)
