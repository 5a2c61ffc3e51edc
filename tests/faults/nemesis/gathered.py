"""From what a run left behind to its history: the clients' lines, the store, the account."""

import json
from collections import Counter
from datetime import timedelta

import orjson

from croupier.features import clock
from croupier.features.ids import hash_unit
from croupier.features.interactions.join import join_interval
from croupier.features.interactions.versions import read_interactions
from croupier.features.log.shipped import DECISION, REJECTED, REWARD, open_log
from croupier.features.log.spool_rows import DUPLICATE
from croupier.features.store import layout
from croupier.features.workspace import Workspace
from croupier.serving.release import bundle_store
from croupier.serving.release.rollout_state import RolloutState
from tests.faults.nemesis.history import Answer, History, Joined, Logged, Paid, Phase, Post

REACH = timedelta(hours=3)


def lines(folder):
    """Every client's lines, in order; and what it still owed at its end."""
    found = [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]
    return found, [line["owed"] for line in found if "owed" in line]


def history(w: Workspace, folder) -> History:
    """Joins what is shipped once more, when every window has closed."""
    now = clock.now() + REACH
    span = {"start": now - 3 * REACH, "end": now}
    account = join_interval(w.store, w.spec.reward, now=now, **span)
    (told, _), key = lines(folder), w.unit_key
    with open_log(w.store) as log:
        decisions, rewards, rejects = (
            log.read(kind, log.hours(kind), schema).to_dicts()
            for kind, schema in (("decisions", DECISION), ("rewards", REWARD), ("rejects", REJECTED))
        )
    return History(
        answers=[_answer(key, *line["answer"]) for line in told if "answer" in line],
        posts=[_post(*line["post"]) for line in told if "post" in line],
        log=[_of(Logged, row | {"unit": row["unit_id"]}) for row in decisions],
        paid=[_of(Paid, row) for row in rewards],
        joined=[_of(Joined, row) for row in read_interactions(w.store, **span).to_dicts()],
        account=account.to_dict(),
        phases=_journal(w),
        salts=_salts(w),
        refused=_refused(rejects),
        thinned=sum(int(row["raw"]) for row in rejects if row["kind"] == "thinned"),
        window_us=int(w.spec.reward.window_seconds * 1e6),
    )


ANSWERED = ("caller", "asked", "event_id", "unit", "arm", "propensity", "release", "role")


def _answer(key, *told):
    row = dict(zip(ANSWERED, told, strict=True))
    return Answer(**row | {"unit": hash_unit(key, row["unit"])})


def _post(event_id, reward_id, value, status):
    return Post(event_id=event_id, reward_id=reward_id, value=value, status=status)


def _of(kind, row):
    found = {name: row[name] for name in kind.__dataclass_fields__}
    return kind(**{name: tuple(v) if isinstance(v, list) else v for name, v in found.items()})


def _refused(rejects):
    words = Counter(DUPLICATE if row["reason"] == DUPLICATE else row["kind"] for row in rejects)
    return {word: words[word] for word in ("decision", "reward", DUPLICATE)}


def _journal(w):
    keys = [layout.ROLLOUT, *w.store.list(layout.rollout_history(0).rpartition("/")[0] + "/")]
    states = [RolloutState.from_json(w.store.get(key)) for key in keys]
    return [
        Phase(releases=s.releases, stage=entry["stage"], share=entry["share"], salt=s.salt)
        for s in states
        for entry in s.history
    ]


def _salts(w):
    numbers = [row["number"] for row in bundle_store.listed(w.store)]
    return {n: orjson.loads(w.store.get(layout.release(n, layout.MANIFEST)))["salt"] for n in numbers}
