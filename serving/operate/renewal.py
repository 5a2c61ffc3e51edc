"""After a change of the users: a refresh under way that has not learnt it is replaced by one that has."""

from croupier.features.build import meta_of
from croupier.features.schema import NO_STAGE
from croupier.features.store import released
from croupier.features.workspace import Workspace
from croupier.models import changes
from croupier.serving.release import rollout_store


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
