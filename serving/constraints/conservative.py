"""Who moves the share of the policy beside a declared baseline: a look counts the hours that matured, and grants what
they certified (models/constraints/running_value.py, allowance.py).

The allowance is a part of the multipliers: one versioned object, the same on every host, named in each decision.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from croupier.features.store.log_layout import rows_of
from croupier.features.store.partitions import log_between
from croupier.features.store.storage import Store, StoreError
from croupier.features.utc import hour_start, to_us
from croupier.features.workspace import Workspace
from croupier.models.constraints import kept_multipliers
from croupier.models.constraints.allowance import Allowance
from croupier.models.constraints.kept_multipliers import KeptMultipliers
from croupier.serving.constraints.promise import PromiseLedger, begun, counted, promised

log = logging.getLogger(__name__)
STILL = 0.02  # of what was certified, and of the share: what the allowance moves by at least, else it stays as it is
LATELY = timedelta(hours=24)  # of which the busiest hour says how many decisions are to come, and who makes them


def move(w: Workspace, *, now: datetime) -> PromiseLedger | None:
    """Looks once. None where the current release promises nothing. Safe to repeat: an hour counts once."""
    found = promised(w)
    if found is None:
        return None
    beside, declared = found
    ledger = PromiseLedger.read(w.store)
    if ledger is None or ledger.declared != declared:
        ledger = replace(begun(beside, declared, to_us(now)), token=ledger.token if ledger else None)
        if ledger.kept(w.store):
            _publish(w.store, kept_multipliers.now(w.store), _none_yet(ledger))
        return ledger
    new = counted(w, ledger, now)
    if new.through != ledger.through and not new.kept(w.store):
        return ledger  # another look was faster
    _grant(w.store, new, now)
    return new


def _grant(store: Store, ledger: PromiseLedger, now: datetime) -> None:
    """Publishes the allowance, where the ledger says more than the one in force."""
    kept = kept_multipliers.now(store)
    old = kept.multipliers.allowance
    if old is None or old.promise != ledger.promise:
        old = _none_yet(ledger)
    hourly, pending = decided_lately(store, ledger.through, now)
    new = old.after(ledger.value, ledger.budget, pending=pending, hourly=hourly)
    more = sum(new.grants.values()) - sum(old.grants.values())
    if more > STILL * ledger.budget or abs(new.share - old.share) > STILL * old.share:
        _publish(store, kept, new)


def _none_yet(ledger: PromiseLedger) -> Allowance:
    """That of a promise of which nothing is counted: hosts go by it at once, and by no earlier promise's."""
    return Allowance(promise=ledger.promise, share=ledger.value.alpha)


def _publish(store: Store, kept: KeptMultipliers, new: Allowance) -> None:
    multipliers = replace(kept.multipliers, version=kept.multipliers.version + 1, allowance=new)
    kept_multipliers.keep(store, kept, multipliers, kept.hours)


def decided_lately(store: Store, through: int, now: datetime) -> tuple[Mapping[str, float], float]:
    """How many decisions each host made in its busiest hour lately, by the id of its log, and how many all have made
    since `through` (UTC µs): by the names of the log's objects, which is at least what they hold."""
    busiest, pending = defaultdict[str, float](float), 0.0
    first = min(through, to_us(now - LATELY))
    for hour, keys in log_between(store, "decisions", first, to_us(now)).items():
        of_hour = Counter[str]()
        for rows in filter(None, map(rows_of, keys)):
            of_hour[rows.spool] += rows.last - rows.first + 1
        pending += sum(of_hour.values()) if hour_start(hour) >= through else 0
        for spool, n in of_hour.items() if hour_start(hour) >= to_us(now - LATELY) else ():
            busiest[spool] = max(busiest[spool], n)
    return busiest, pending


def look(w: Workspace, *, now: datetime) -> str:
    """What `move` has done, in words; "" where nothing is promised. Never raises for what is in the store: the
    allowance that holds goes on, and the log says why."""
    try:
        found = move(w, now=now)
    except (ValueError, KeyError, OSError, StoreError) as error:
        log.warning("the share beside the baseline was not moved: %s", error)
        return f"share beside the baseline not moved: {type(error).__name__}: {error}"[:400]
    if found is None:
        return ""
    allowance = kept_multipliers.now(w.store).multipliers.allowance
    share = allowance.share if allowance and allowance.promise == found.promise else found.value.alpha
    return f"share beside the baseline {share:.3g}, of {found.value.rows:,.0f} decisions"
