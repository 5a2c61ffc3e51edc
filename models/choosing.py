"""Which policies a training trains: those that app.toml names, or with `candidates = "auto"` those its log prefers.

The log chooses by successive halving (tuning/) on the rows that no verdict is from: those before `split_at` of an
interval by hand, and those before the process began of a rolling window. So what is chosen is to the gate as what was
declared: it shares α among as many as are left, one or two. A choice stands for as long as its process does.
"""

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from croupier.features.build import Features
from croupier.features.declared import fitting
from croupier.features.declared.policies import PoliciesSpec
from croupier.features.engines.chosen import engine_of
from croupier.features.engines.engine import Engine, Results
from croupier.features.schema import FROM_CATALOGUE
from croupier.features.store import layout, result_layout
from croupier.features.store.storage import AlreadyExists
from croupier.features.workspace import Workspace
from croupier.models import retraining
from croupier.models.policy import POLICIES, make
from croupier.models.tuning import earlier_tunings, spaces, warm_start
from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.halving import survivors
from croupier.models.tuning.spaces import distinct
from croupier.models.tuning.trial import let_go
from croupier.models.tuning.tuner import LEAST, Tuner, said

RESULTS = "tuning"  # trials, in the store
UNTIL_THEN = (Configuration("vw_cb_adf"), Configuration("lin_ts"))  # while there are too few rows to choose by
NOT_CHOSEN = ("uniform", "fixed_arm", "demand_ts")  # the last is of [pricing] alone, and declared by name
EARLIER = 3  # configurations of earlier tunings that are tried beside the portfolio


def policies(w: Workspace, key: str) -> PoliciesSpec:
    """[policies] of app.toml, with what was chosen on features `key` where the log chooses. Raises ValueError where
    nothing was chosen yet."""
    if not w.spec.policies.auto:
        return w.spec.policies
    kept = _kept(w, key)
    if kept is None:
        raise ValueError(f"auto: found no choice for features {key}, expected one: `plan` of train_and_gate makes it")
    return w.spec.policies.model_copy(
        update={"candidates": tuple(kept["candidates"]), "parameters": {**kept["candidates"]}}
    )


def choose(w: Workspace, key: str) -> None:
    """Chooses on features `key`, where the log chooses, and keeps what was chosen, once. What the running process
    judges is taken over."""
    if not w.spec.policies.auto or _kept(w, key) is not None:
        return
    with tempfile.TemporaryDirectory() as scratch:
        try:
            features = Features.fetch(w.store, key, Path(scratch))
        except KeyError:
            return  # no such features: the training says so
        body = _standing(w, features) or _chosen(w, features, engine_of(w.settings, Results(w.store, RESULTS)))
    let_go()
    with suppress(AlreadyExists):
        w.store.create(result_layout.choice(key), orjson.dumps(body | {"features": key}))
    print(f"{w.settings.app}: auto: {body['why']}: {', '.join(body['candidates'])}")


def judged_from(w: Workspace, features: Features) -> int:
    """The time (UTC µs) from which on rows judge a new process; what came before may choose."""
    if features.end is None:
        return features.split_at
    return max(features.split_at, retraining.champion_of(w).trained_until)


def allowed(w: Workspace) -> list[str]:
    """The policies that this app can have."""
    names = [name for name in POLICIES if name not in NOT_CHOSEN]
    if w.spec.arms.source != FROM_CATALOGUE:
        names = [name for name in names if make(name).inline_arms != "refused"]
    return fitting.allowed(names, w.spec.allocation, w.spec.safety)


def names(w: Workspace) -> set[str]:
    """The policies that the running process judges, where the log chose them; else those of app.toml."""
    process = retraining.read_process(w)
    chose = w.spec.policies.auto and process is not None and _choice_of(w, process.candidates) is not None
    return set(process.candidates) if chose and process is not None else set(w.spec.policies.candidates)


def _kept(w: Workspace, key: str) -> dict[str, Any] | None:
    raw, version = w.store.read(result_layout.choice(key))
    return None if version is None else dict(orjson.loads(raw))


def _standing(w: Workspace, features: Features) -> dict[str, Any] | None:
    """The choice of the process that goes on with these features; None where a new one begins."""
    process = retraining.read_process(w)
    before = None if process is None else _choice_of(w, process.candidates)
    if before is None or features.end is None:
        return None
    key = features.meta["features"]
    _, new = retraining.process_for(w, features, {name: layout.candidate(key, name) for name in before["candidates"]})
    return None if new else before | {"why": f"goes on as chosen on {before['on']}"}


def _choice_of(w: Workspace, segments: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was chosen on the features that these models through time have learnt last."""
    newest = {result_layout.features_of(found[-1].policy) for found in segments.values()}
    return _kept(w, newest.pop()) if len(newest) == 1 else None


def _chosen(w: Workspace, features: Features, engine: Engine) -> dict[str, Any]:
    """The choice anew: its candidates with their parameters, why, and what was tried."""
    key = features.meta["features"]
    tuner, tried = Tuner(w, key, judged_from(w, features), engine, tells_apart=True), []
    data: dict[str, float] = {}
    portfolio = spaces.of_auto(len(spaces.PORTFOLIO), allowed(w), seed=w.spec.policies.seed)
    if tuner.rows < LEAST:
        why = f"{tuner.rows:,} rows are too few to choose by, {LEAST} would do; until then"
        left = [each for each in UNTIL_THEN if each.policy in allowed(w)] or portfolio[:1]
    else:
        tried = tuner.narrow(distinct([*portfolio, *_earlier(w, tuner)]))
        left, data = [found.configuration for found in survivors(tried[-1])], tuner.data
        why = f"{sum(map(len, tried))} trials on {tuner.rows:,} rows, none of which judges, chose"
    candidates = _champions(w, features) | {each.policy: dict(each.parameters) for each in left}
    rungs = [[said(trial) for trial in rung] for rung in tried]
    return {"candidates": candidates, "why": why, "on": key, "data": data, "rungs": rungs}


def _earlier(w: Workspace, tuner: Tuner) -> list[Configuration]:
    """What came out best on logs that are like this one, as far as this app can have it: tuned ones are tried, too."""
    known, _ = earlier_tunings.known()
    return warm_start.proposed(tuner.data, [each.only(allowed(w)) for each in known])[:EARLIER]


def _champions(w: Workspace, features: Features) -> dict[str, dict[str, Any]]:
    """The champion's own family, which a rolling window refreshes, as it was trained; none before there is one."""
    champion = retraining.champion_of(w)
    if features.end is None or not w.spec.refresh.enabled or champion.family not in allowed(w):
        return {}
    head = orjson.loads(w.store.get(f"{champion.policy}/{layout.POLICY_FILE}"))
    return {champion.family: head["parameters"]}
