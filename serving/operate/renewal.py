"""After a change of the users: a refresh that has learnt it waits for no whole season, nor for one that has not.

A champion of other users is known to be wrong, at every hour of the day: what may differ by the hour is no longer what
is asked, and each season more is lost. The rollout's bets are valid at every look all the same.
"""

from croupier.features.build import meta_of
from croupier.features.schema import NO_STAGE
from croupier.features.spec import AppSpec
from croupier.features.spec_values import NO_SEASON
from croupier.features.store import released
from croupier.features.store.storage import Store
from croupier.features.workspace import Workspace
from croupier.models import changes
from croupier.serving.release import bundle_store, rollout_store
from croupier.serving.release.rollout_state import RolloutState

CHANGED = "changed"  # of a release's meta: since when (UTC µs) the users have been others than its champion learnt


def is_stale(w: Workspace, key: str) -> bool:
    """True if the rollout under way is that of a refresh that learnt less than half of what came since the change that
    the features `key` show. A candidate of another family is never replaced: its evidence may still be asked for."""
    state = rollout_store.read_state(w.store)
    if state is None or not state.running or state.stage == NO_STAGE or state.watched:
        return False
    meta = released.manifest(w.store, state.release)["meta"]
    if meta.get("kind") != released.REFRESH:
        return False
    newest, trained = meta_of(w.store, key), meta_of(w.store, meta["features"])
    found = changes.kept(w, key, int(newest["end_us"]))
    return found is not None and changes.missed(found, int(trained["end_us"]), int(newest["end_us"]))


def hurried(store: Store, spec: AppSpec, state: RolloutState) -> AppSpec:
    """The declaration by which this rollout is judged: without seasons if it renews a champion of other users."""
    meta = bundle_store.manifest(store, state.releases[0])["meta"]
    if state.watched or meta.get("kind") != released.REFRESH or not meta.get(CHANGED):
        return spec
    return spec.model_copy(update={"rollout": spec.rollout.model_copy(update={"season": NO_SEASON})})
