"""What matured decisions say of a candidate, against the champion that served beside it.

    benefit, harm   bets on the difference of doubly robust rewards (serving/betting.py)
    guardrails      the same for fallbacks, latency and other kinds of reward (serving/guardrails.py)
    trust           unit counts (serving/sample_ratio.py), the propensities of either role, roles as assigned, freshness

Who is compared is who was *assigned*, by hash of the unit and the share of the stage: a decision that the candidate
owed and somebody else answered counts as the candidate's. In shadow, where nobody is, the candidate is scored on what
the champion decided: it must answer everything with probabilities.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.batch import F64, Bool, Interactions
from features.dataset import encode_interactions
from features.ids import uniform01
from features.join import matured
from features.spec import AppSpec, KindSpec, RewardSpec
from features.storage import Store
from features.versions import read_interactions
from models.intervals import asymptotic_cs
from models.off_policy import Moments
from models.reward_model import RewardModel
from models.self_tests import propensity_values
from serving import betting, draws, sample_ratio
from serving.controller import Evidence, stage_margin
from serving.guardrails import Guardrail, judged, slowness
from serving.release import LoadedRelease
from serving.rollout import SHADOW, RolloutState, share_of
from serving.scoring import TOO_LATE

AUDIT_ALPHA = 0.001  # of all looks, per role and test
MODEL_ROWS = 20_000  # earlier decisions that the reward model of DR is fitted on
MODEL_DAYS = 30


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """Matured decisions of one rollout, in time order, all (n,): `assigned` to the candidate, at which `share`."""

    frame: pl.DataFrame
    log: Interactions
    assigned: Bool
    share: F64

    def __len__(self) -> int:
        return len(self.share)


def gather(store: Store, spec: AppSpec, state: RolloutState, release: LoadedRelease, *, now: int) -> Evidence:
    """Everything matured by `now` (UTC µs) since the rollout began. Reads only; equal inputs give equal evidence."""
    frame = decisions(store, spec.reward, state, now=now)
    problems = _stale(frame, spec, state, now)
    if state.stage == SHADOW:
        return _shadow(frame.filter(pl.col("stage") == SHADOW), release, problems)
    rows = compared(frame, state, release)
    if rows is None:
        return Evidence(problems=tuple(problems), numbers={"decisions": 0})
    problems += _untrusted(rows, state)
    numbers, harms = _numbers(rows, state), []
    bets = reward_bets(rows, spec.reward, earlier(store, state, release))
    margin = stage_margin(state, spec.rollout)
    numbers |= _difference(bets, spec, margin)
    if numbers["log_wealth_harm"] >= np.log(1 / spec.rollout.alpha_harm):
        harms.append("reward")
    numbers["guardrails"] = _guardrails(store, spec, state, rows, now=now)
    harms += [_named(name, guard) for name, guard in numbers["guardrails"].items() if guard["harm"]]
    here = (rows.frame["stage"] == state.stage) & (rows.frame["at"] >= state.since)
    return Evidence(
        decisions=int(here.sum()), safe=bool(numbers["log_wealth_safe"] >= np.log(1 / spec.rollout.alpha)),
        harms=tuple(harms), problems=tuple(problems), numbers=numbers,
    )  # fmt: skip


def decisions(store: Store, reward: RewardSpec, state: RolloutState, *, now: int) -> pl.DataFrame:
    """The rollout's matured interactions, in order of time."""
    began, end = state.history[0]["at"], _time(now) + timedelta(hours=1)
    frame = matured(store, reward, start=_time(began), end=end, now=_time(now))
    return frame.filter((pl.col("release") == state.release) & (pl.col("at") >= began)).sort("at")


def compared(frame: pl.DataFrame, state: RolloutState, release: LoadedRelease) -> Compared | None:
    """Those made while both roles served; None before there are any."""
    shares = {stage: share_of(stage) for stage in frame["stage"].unique().to_list()}
    exposed = frame.filter(pl.col("stage").is_in([s for s, share in shares.items() if 0 < share < 1]))
    if exposed.is_empty():
        return None
    share = exposed["stage"].replace_strict(shares, return_dtype=pl.Float64).to_numpy()
    return Compared(
        frame=exposed, share=share, assigned=np.asarray(places(exposed["unit_id"], state.salt) < share),
        log=encode_interactions(exposed, release.encoder, release.catalogue),
    )  # fmt: skip


def _shadow(frame: pl.DataFrame, release: LoadedRelease, problems: list[str]) -> Evidence:
    """The candidate on the champion's decisions: does it answer them all, and what would it have been worth?"""
    numbers: dict[str, Any] = {"decisions": len(frame), "stage": SHADOW}
    if not len(frame):
        return Evidence(problems=tuple(problems), numbers=numbers)
    try:
        log, pmf = _shadow_pmf(frame, release)
    except Exception as error:  # noqa: BLE001 - whatever a policy does, in shadow it does no harm
        return Evidence(harms=(f"in shadow: {type(error).__name__}: {error}"[:200],), numbers=numbers)
    weight = pmf[np.arange(len(log)), log.chosen] / log.propensity
    numbers |= {"champion_mean": float(log.reward.mean()), "candidate_ips": float((weight * log.reward).mean()),
                "ess": float(weight.sum() ** 2 / np.square(weight).sum())}  # fmt: skip
    return Evidence(decisions=len(frame), problems=tuple(problems), numbers=numbers)


def _shadow_pmf(frame: pl.DataFrame, release: LoadedRelease) -> tuple[Interactions, F64]:
    """What the candidate would have done (n, K) in these decisions of the champion. Raises whatever its policy does."""
    log = encode_interactions(frame, release.encoder, release.catalogue)
    return log, draws.guard(release.pmf("candidate", log.batch), log.batch.mask)


def shadow_log(
    store: Store, reward: RewardSpec, state: RolloutState, release: LoadedRelease, *, now: int
) -> pl.DataFrame:
    """The matured decisions of the shadow stage: the champion's, its pmf, the reward, and beside it `candidate_pmf`."""
    frame = decisions(store, reward, state, now=now).filter(pl.col("stage") == SHADOW)
    pmf = _shadow_pmf(frame, release)[1].tolist() if len(frame) else []
    own = [row[:k] for row, k in zip(pmf, frame["arms"].list.len(), strict=True)]
    beside = pl.Series("candidate_pmf", own, dtype=pl.List(pl.Float64))
    return frame.select("event_id", "at", "unit_id", "arms", "pmf", "arm", "reward").with_columns(beside)


def places(units: pl.Series, salt: str) -> F64:
    """Where each unit stands in [0, 1): the candidate's if below the share."""
    unique = units.unique()
    place = {unit: uniform01(salt, unit) for unit in unique}
    return units.replace_strict(place, return_dtype=pl.Float64).to_numpy()


# ── benefit and harm ────────────────────────────────────────────────────────────────────────────────────────────────


def reward_bets(rows: Compared, reward: RewardSpec, before: Interactions | None) -> betting.Bets:
    """On the doubly robust rewards; `before`: see `earlier`."""
    width = reward.range[1] - reward.range[0]
    return betting.bets(rows.assigned, rows.share, doubly_robust(rows.log, before), rows.log.unit, width=width)


def doubly_robust(log: Interactions, earlier: Interactions | None) -> F64:
    """(n,) Σ_a p(a|x) q̂(x,a) + (r − q̂(x,A)) − (h(x) − h̄): the logged policy's DR value of each decision, less what
    its context alone would let expect (h: the mean q̂ of its candidates, h̄ the same before the rollout).

    q̂ comes from decisions before the rollout, so it is fixed in advance; either role's mean is unbiased, whatever q̂
    is worth. Without earlier decisions: the reward itself.
    """
    if earlier is None or np.all(earlier.reward == earlier.reward[0]):
        return log.reward
    model = RewardModel.fit(earlier)
    q, usual = model.predict(log.batch), float(_candidates_mean(model.predict(earlier.batch), earlier).mean())
    chosen = q[np.arange(len(log)), log.chosen]
    return np.asarray((log.pmf * q).sum(axis=1) + log.reward - chosen - (_candidates_mean(q, log) - usual))


def _candidates_mean(q: F64, log: Interactions) -> F64:
    return np.asarray(np.where(log.batch.mask, q, 0.0).sum(axis=1) / log.batch.mask.sum(axis=1))


def earlier(store: Store, state: RolloutState, release: LoadedRelease) -> Interactions | None:
    """The last joined decisions before the rollout that this release's catalogue knows; None: too few to learn from."""
    began = _time(state.history[0]["at"])
    frame = read_interactions(store, start=began - timedelta(days=MODEL_DAYS), end=began)
    known = pl.col("arms").list.eval(pl.element().is_in(list(release.catalogue.row))).list.all()
    frame = frame.filter((pl.col("at") < state.history[0]["at"]) & known).tail(MODEL_ROWS)
    return encode_interactions(frame, release.encoder, release.catalogue) if len(frame) >= 1000 else None


def _difference(bets: betting.Bets, spec: AppSpec, margin: float) -> dict[str, Any]:
    return {
        "difference": float(bets.xi.sum() / bets.v.sum()), "lower": bets.lower(spec.rollout.alpha),
        "upper": bets.upper(spec.rollout.alpha_harm), "margin": margin, "design_effect": bets.dispersion,
        "log_wealth_harm": float(bets.log_wealth(0.0, harm=True)[-1]),
        "log_wealth_safe": float(bets.log_wealth(-margin * np.abs(bets.baseline), harm=False)[-1]),
    }  # fmt: skip


def _guardrails(store: Store, spec: AppSpec, state: RolloutState, rows: Compared, *, now: int) -> dict[str, Any]:
    """`fallback` and `latency` are always watched, the others as declared."""
    unit, limit, took = rows.log.unit, spec.rollout.latency_p99_ms, rows.frame["took_us"].to_numpy()
    late = rows.frame["fallback_reason"].str.starts_with(TOO_LATE).to_numpy()  # not waited for: slow, not broken
    took = np.where(late, np.maximum(took, 1000 * limit + 1), took).astype(np.int64)
    watched = {
        "fallback": Guardrail(value=-(failed(rows) & ~late).astype(np.float64), width=1.0, cluster=unit),
        "latency": slowness(took, rows.frame["at"].to_numpy(), rows.assigned, limit),
    }
    for kind, harmful in spec.rollout.guardrails.items():
        alone = spec.reward.model_copy(update={"kinds": {kind: KindSpec(how="sum")}, "default": 0.0})
        start, end = _time(state.history[0]["at"]), _time(now) + timedelta(hours=1)
        other = matured(store, alone, start=start, end=end, now=_time(now)).select("event_id", value="reward")
        value = rows.frame.join(other, on="event_id", how="left")["value"].fill_null(0.0).to_numpy()
        width = max(float(np.abs(value).max(initial=0.0)), 1e-9)
        name = f"{kind} (reward)" if kind in watched else kind
        watched[name] = Guardrail(value=-value if harmful == "higher" else value, width=width, cluster=unit)
    return judged(watched, rows.assigned, rows.share, alpha=spec.rollout.alpha_guardrails)


def _named(name: str, guard: Mapping[str, Any]) -> str:
    return f"{name} ({guard['says']})" if guard["says"] else name


def failed(rows: Compared) -> Bool:
    """Decisions that another than the assigned policy had to answer."""
    role = rows.frame["role"].to_numpy()
    return np.asarray(np.where(rows.assigned, role != "candidate", role == "fallback"), dtype=np.bool_)


# ── trust ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _stale(frame: pl.DataFrame, spec: AppSpec, state: RolloutState, now: int) -> list[str]:
    newest = int(frame["at"][-1]) if len(frame) else state.since
    silent = (now - max(newest, state.since)) / 1e6 - spec.reward.window_seconds
    if silent <= spec.rollout.stale_seconds:
        return []
    return [f"no matured decision for {silent:.0f} s (limit {spec.rollout.stale_seconds:.0f} s)"]


def _untrusted(rows: Compared, state: RolloutState) -> list[str]:
    found = []
    for stage, (candidate, champion, share) in unit_counts(rows).items():
        if sample_ratio.mismatch(candidate, champion, share, alpha=sample_ratio.ALPHA / len(state.stages)):
            found.append(f"sample ratio at {stage}: {candidate} units of {candidate + champion}, expected {share:.0%}")
    strays = int(((rows.frame["role"] == "candidate").to_numpy() & ~rows.assigned).sum())
    if strays:
        found.append(f"{strays} decisions of the champion's units were made by the candidate")
    return found + [f"propensities of the {role} are not those of its draws" for role in bad_propensities(rows)]


def unit_counts(rows: Compared) -> dict[str, tuple[int, int, float]]:
    """Stage → units that came in it: the candidate's, the champion's, and the share they were split by."""
    counted = rows.frame.select("stage", "unit_id").with_columns(assigned=pl.Series(rows.assigned), share=rows.share)
    units = counted.unique(["stage", "unit_id"]).group_by("stage").agg(
        pl.col("assigned").sum(), pl.len(), pl.col("share").first())  # fmt: skip
    return {s: (int(a), int(n) - int(a), float(share)) for s, a, n, share in units.sort("share").iter_rows()}


def bad_propensities(rows: Compared) -> list[str]:
    """Roles whose logged pmf is refuted by their draws (models/self_tests.py), at any look."""
    role = rows.frame["role"].to_numpy()
    bad = []
    for name in ("champion", "candidate"):
        values = propensity_values(rows.log[role == name]) if (role == name).sum() >= 100 else np.zeros((0, 2))
        bounds = [asymptotic_cs(Moments.of(v), alpha=AUDIT_ALPHA / 4) for v in values.T if len(v)]
        if any(b.lower > 0 or b.upper < 0 for b in bounds):
            bad.append(name)
    return bad


def _numbers(rows: Compared, state: RolloutState) -> dict[str, Any]:
    a, reward = rows.assigned, rows.log.reward
    return {
        "decisions": len(rows), "candidate_decisions": int(a.sum()), "champion_decisions": int((~a).sum()),
        "candidate_mean": _mean(reward, a), "champion_mean": _mean(reward, ~a), "stage": state.stage,
        "units": {stage: list(counts) for stage, counts in unit_counts(rows).items()},
    }  # fmt: skip


def _mean(values: F64 | NDArray[np.bool_], where: Bool) -> float:
    return float(values[where].mean()) if where.any() else 0.0


def _time(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def summary(numbers: Mapping[str, Any]) -> str:
    """One line for a log."""
    if "difference" not in numbers:
        return "no matured decisions yet"
    known = (f"{numbers['candidate_decisions']:,} + {numbers['champion_decisions']:,} decisions, difference "
             f"{numbers['difference']:+.5f} [{numbers['lower']:+.5f}, {numbers['upper']:+.5f}]")  # fmt: skip
    latency = numbers["guardrails"].get("latency")
    return f"{known}; latency {latency['says']}" if latency else known
