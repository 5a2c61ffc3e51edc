"""What the fleet did, held against what was answered: the log in the store, the heads, and who saw the candidate when."""

from collections import Counter
from contextlib import suppress
from datetime import timedelta

from croupier.features import clock
from croupier.features.ids import hash_unit
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.shipped import DECISION, REWARD, open_log
from croupier.features.schema import CANDIDATE, CHAMPION
from croupier.features.store import layout
from croupier.serving.release import bundle
from croupier.serving.release.rollout_state import in_candidate
from tests.serving.fleet.fleets import apart, moments, one_host, until
from tests.serving.fleet.tritons.fleet import KEY

AGREE_SECONDS, CLOSE = 120.0, 1e-9


def heads(fleet, folder):
    """How far the head of each host is, once they agree or patience ends, from that of one host with the whole log; and how
    many rewards that one learnt."""
    apps = [fleet.app(machine.var) for machine in fleet.machines]
    release = bundle.load(layout.served(apps[0].home, 1))
    alone = one_host(folder, apps, release)
    expected, gaps = alone.state.moments, []

    def agree():
        gaps[:] = [float(apart(moments(app, release), expected)) for app in apps]
        return max(gaps) < CLOSE

    with suppress(AssertionError):  # the gaps say so
        until(agree, AGREE_SECONDS)
    return {"apart": gaps, "learnt": int(alone.state.step - alone.base.step)}


def log(fleet):
    """The hourly join of all that was shipped, and how often each event and reward is in the log itself."""
    store, now = fleet.controller.store, clock.now()
    with open_log(store) as shipped:
        decisions = shipped.read("decisions", shipped.hours("decisions"), DECISION)
        rewards = shipped.read("rewards", shipped.hours("rewards"), REWARD)
    span = {"start": now - timedelta(hours=2), "end": now + timedelta(hours=1)}
    joined = join_interval(store, fleet.controller.spec.reward, now=now + timedelta(hours=3), **span).to_dict()
    rows = {row["event_id"]: row for row in read_interactions(store, **span).to_dicts()}
    crowd = fleet.crowd
    kept = {event: (row["arm"], row["propensity"]) for event, row in rows.items()}
    often = Counter(decisions["event_id"].to_list())
    return {
        "answered": len(crowd.answered),
        "interactions": joined["interactions"],
        "lost": sorted(crowd.answered.keys() - kept.keys()),
        "otherwise": sorted(e for e, said in crowd.answered.items() if e in kept and kept[e] != said),
        "unanswered": len(kept.keys() - crowd.answered.keys()),
        "never asked": sorted(kept.keys() - crowd.answered.keys() - crowd.asked),
        "doubled": sorted(event for event, n in often.items() if n > 1 and event not in crowd.again),
        "rewarded": len(crowd.rewarded),
        "rewards lost": sorted(crowd.rewarded - set(rewards["event_id"])),
        "not joined": sorted(event for event in crowd.rewarded if not rows.get(event, {}).get("reward_count")),
        "counted twice": sorted(event for event, row in rows.items() if row["reward_count"] > 1),
        "never sent": sorted(e for e, row in rows.items() if row["reward_count"] and e not in crowd.rewarded),
    }


def strays(fleet):
    """Decisions by another role than the unit's at any share that the host's mirror had while it was asked."""
    salt, found = fleet.state().salt, []
    for seen in fleet.crowd.seen:
        shares = fleet.machines[seen.host].shares_between(seen.begun, seen.over)
        unit = hash_unit(KEY, seen.unit)
        roles = {CANDIDATE if in_candidate(salt, unit, share) else CHAMPION for share in shares}
        if seen.role not in roles:
            found.append([seen.host, seen.role, sorted(shares)])
    return found


def late(fleet, hosts, since):
    """Seconds after `since` at which each decision by the candidate was asked for, at these hosts."""
    by = [seen.begun - since for seen in fleet.crowd.seen if seen.role == CANDIDATE and seen.host in hosts]
    return sorted(seconds for seconds in by if seconds > 0)
