"""When rows leave the spool: once they are verified in the store, and nobody on this host needs them any more.

    younger than the retry window           stays, always: the spool answers a repeated event id
    older than a week                       leaves
    between                                 leaves while the spool holds more than half of CROUPIER_SPOOL_MAX_BYTES

So a small app keeps a week for `croupier replay`, and a busy one never comes near the cap, from which on decisions are
thinned. Where the fast loop learns, the retry window is as long as the reward window, and an hour: a decision whose
reward may still be learnt stays.
"""

from croupier.features.log.ship import KEPT, prune
from croupier.features.log.spool import Spool
from croupier.features.reward import window_us
from croupier.features.spec import AppSpec
from croupier.features.store.storage import Store
from croupier.features.utc import HOUR

RETRY = HOUR  # µs in which callers retry
FULL_FROM = 0.5  # share of max_bytes; thinning begins at 0.8


def retry_window(spec: AppSpec) -> int:
    """Returns µs for which a row is needed here after its event."""
    return RETRY + (window_us(spec.reward) if spec.policies.fast_loop else 0)


def make_room(spool: Spool, store: Store, *, window: int, now: int, kept: int = KEPT) -> int:
    """Deletes shipped rows as above; `window`: the retry window, `kept`: in place of the week, both µs; `now`: UTC µs.
    Returns how many. Raises ShipError where the store does not hold what was shipped."""
    rows = prune(spool, store, before=now - max(kept, window))
    if spool.size() > FULL_FROM * spool.max_bytes and window < kept:
        rows += prune(spool, store, before=now - window)
    return rows
