"""Re-derive a logged decision, step by step: the same bytes, the same encoding, the same head, the same pmf and draw.

Nothing is taken as given but the log itself: the release is verified against its digests, the posterior is rebuilt
from the release and the rewards that had arrived. A step that differs is named, with what was found.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from croupier.features.batch import F64, Batch
from croupier.features.ids import uniform01
from croupier.features.log.spool import Spool
from croupier.features.schema import (
    APPRENTICE,
    CANDIDATE,
    CHAMPION,
    FALLBACK,
    IN_CANDIDATES_PLACE,
    Decision,
    InvalidEvent,
)
from croupier.features.slates.so_far import SlateSoFar
from croupier.features.spec import RewardSpec
from croupier.features.store import layout
from croupier.models.constraints.beside_baseline import OnRecord
from croupier.models.constraints.kept_multipliers import FREE
from croupier.models.constraints.multipliers import Multipliers
from croupier.models.policy import Policy
from croupier.serving.decide import draws
from croupier.serving.decide.price_reader import Pricing
from croupier.serving.fleet.rederived import Logs, Rederivation, nobodys
from croupier.serving.learning import fast_loop
from croupier.serving.release import bundle as releases
from croupier.serving.release.bundle import LoadedRelease, ReleaseRefused
from croupier.serving.release.safeguards import Safeguards

TOLERANCE = 1e-9


@dataclass(frozen=True)
class ReplayStep:
    """One step of a replay: what was checked, whether it held, and what was seen."""

    step: str
    holds: bool
    detail: str


def replay(
    decision: Decision,
    *,
    load: Callable[[int], LoadedRelease],
    spool: Spool,
    spec: RewardSpec,
    prices: Callable[[int], Multipliers] = lambda _: FREE,
    logs: Logs = nobodys,
) -> list[ReplayStep]:
    """Every step up to and with the first that differs. `load(number)` gives a verified release, or raises
    ReleaseRefused or KeyError; `prices(version)` the multipliers of long-run constraints, or raises KeyError;
    `logs(spool id)` the log of another host of the fleet, or None."""
    if decision.release == 0:
        return [
            ReplayStep("release", True, "decided elsewhere (imported, or a client's fallback): nothing to derive"),
            *_outcome(decision, decision.pmf),
        ]
    found, release = release_of(decision, load)
    if release is None:
        return found
    try:
        batch, steps = _batch(decision, release, prices)
    except (KeyError, ValueError) as error:
        return [*found, ReplayStep("multipliers", False, f"version {decision.multipliers}: {error}")]
    found += steps
    if not all(step.holds for step in steps):
        return found
    try:
        policy, text = policy_of(decision, release, spool, spec, logs)
    except ValueError as error:
        return [*found, ReplayStep("posterior", False, str(error))]
    found.append(ReplayStep("posterior", True, text))
    pmf = _pmf(decision, policy, batch, release)
    worst = float(np.abs(pmf - decision.pmf).max()) if len(pmf) == len(decision.pmf) else float("inf")
    found.append(ReplayStep("pmf", worst <= TOLERANCE, f"largest difference {worst:.3g}"))
    if worst > TOLERANCE:
        return found
    u = uniform01(release.salt, decision.event_id)
    arm = decision.arms[draws.draw([decision.pmf], release.salt, [decision.event_id])[0]]
    found.append(ReplayStep("draw", arm == decision.arm, f"u = {u:.6f} gives {arm}, logged {decision.arm}"))
    if arm != decision.arm:
        return found
    return [*found, *_baseline(decision, batch, release), *_outcome(decision, tuple(pmf))]


def release_of(
    decision: Decision, load: Callable[[int], LoadedRelease]
) -> tuple[list[ReplayStep], LoadedRelease | None]:
    """The steps up to the request, and the release that decided; None where one of them differs."""
    try:
        release = load(decision.release)
    except (ReleaseRefused, KeyError) as error:
        return [ReplayStep("release", False, str(error))], None
    found = [ReplayStep("release", True, f"{release.number}, {len(release.manifest['files'])} files verified")]
    for name, has, logged in (
        ("encoder", release.encoder.digest, decision.encoder),
        ("catalogue", release.catalogue.digest, decision.catalogue),
    ):
        found.append(ReplayStep(name, has == logged, f"logged {logged}, the release has {has}"))
        if has != logged:
            return found, None
    try:
        release.encoder.validate(
            decision.context, decision.arms, decision.arm_context, release.catalogue, decision.arm_features
        )
    except InvalidEvent as error:
        return [*found, ReplayStep("request", False, str(error))], None
    found += [*_retrieval(decision, release), *_rules(decision, release), *_slate(decision, release)]
    found += _margin(decision, release)
    return found, release if all(step.holds for step in found) else None


def _retrieval(decision: Decision, release: LoadedRelease) -> list[ReplayStep]:
    """Where the request listed no arms, the step that says whether the release lists these for its event."""
    if not decision.retrieved:
        return []
    if release.retriever is None:
        return [ReplayStep("retrieval", False, "the release has no index of arms")]
    listed, said = release.retriever.listed(decision.context, decision.event_id)
    among = set(decision.arms)
    holds = decision.retrieved == said and tuple(arm for arm in listed if arm in among) == tuple(decision.arms)
    left_out = f", {n} of them left out" if (n := len(listed) - len(among)) else ""
    of_all = release.retriever.inclusion(decision.context, decision.event_id, decision.arm) * decision.propensity
    said += f"{left_out}, logged {decision.retrieved}; of all arms {decision.arm} had {of_all:.6g}"
    return [ReplayStep("retrieval", holds, f"lists {said}")]


def _rules(decision: Decision, release: LoadedRelease) -> list[ReplayStep]:
    """Where the release has rules, the step that says whether they leave all candidates in."""
    rules = Safeguards.of(release.manifest).ruled_out(release.arms)
    if not rules:
        return []
    against = rules.why(decision.context, decision.arms, decision.arm_features)
    said = "; ".join(f"{arm} is left out by {why}" for arm, why in against.items())
    return [ReplayStep("rules", not against, said or "they leave all of its candidates in")]


def _margin(decision: Decision, release: LoadedRelease) -> list[ReplayStep]:
    """Where arms are prices, the step that says whether price − cost of the arm is what was logged."""
    prices = Safeguards.of(release.manifest).prices(release.arms)
    if not prices:
        return []
    try:
        prices.refuse_missing(decision)
        derived = prices.margin(decision, decision.arm)
    except InvalidEvent as error:
        return [ReplayStep("margin", False, str(error))]
    return [ReplayStep("margin", derived == decision.margin, f"logged {decision.margin}, derived {derived}")]


def _slate(decision: Decision, release: LoadedRelease) -> list[ReplayStep]:
    """The step that says whether a slot of a slate may show its candidates; none where nothing is asked of slates."""
    so_far = SlateSoFar.recorded(decision.slate_so_far)
    if so_far is None:
        return []
    rules, place = Safeguards.of(release.manifest).slate_rules(release.arms), len(so_far.above)
    try:
        against = rules.left_out(so_far, decision.arms, decision.arm_features)
    except InvalidEvent as error:
        return [ReplayStep("slate", False, str(error))]
    said = f"may not show {', '.join(against)}" if against else "may show all of its candidates"
    return [ReplayStep("slate", not against, f"slot {place} of {so_far.k} {said}")]


def _batch(
    decision: Decision, release: LoadedRelease, prices: Callable[[int], Multipliers]
) -> tuple[Batch, list[ReplayStep]]:
    """What was scored, and the step that says by which multipliers, where there were any. Raises KeyError where nobody
    has them."""
    asked = [decision.context], [decision.arms], [decision.arm_context], release.catalogue, [decision.arm_features]
    batch, promise = release.encoder.encode(*asked), OnRecord.read(decision.conservative)
    batch = batch if promise is None else replace(batch, share=np.array([promise.share]))
    if so_far := SlateSoFar.recorded(decision.slate_so_far):
        rules = Safeguards.of(release.manifest).slate_rules(release.arms)
        batch = rules.priced(batch, [(so_far, decision.arms, decision.arm_features)])
    stopped = orjson.loads(decision.stopped or "[]")
    if not decision.multipliers and not stopped:
        return batch, _share(promise, release, FREE)
    paid = prices(decision.multipliers)
    usages = Safeguards.of(release.manifest).usages(release.arms)
    holds = paid.version == decision.multipliers
    said = f"version {paid.version}, logged {decision.multipliers}"
    said += f"; this host left out the arms of {', '.join(stopped)}" if stopped else ""
    steps = [ReplayStep("multipliers", holds, said), *_share(promise, release, paid)]
    return Pricing(usages).on(batch, paid, decision.at, stopped), steps


def _share(promise: OnRecord | None, release: LoadedRelease, paid: Multipliers) -> list[ReplayStep]:
    """The step that says whether the policy could have this share beside the baseline: that of the allowance then, or,
    where the host had used up its grant, the free one."""
    beside = release.exploration.beside
    if promise is None or beside is None:
        return []
    now = paid.allowance if paid.allowance and paid.allowance.of(beside.name) else None
    allowed = {beside.alpha} | ({max(now.share, beside.alpha)} if now else set())
    said = f"logged {promise.share:.9g}, allowed {' or '.join(f'{each:.9g}' for each in sorted(allowed))}"
    return [ReplayStep("share", promise.share in allowed, said)]


def policy_of(
    decision: Decision, release: LoadedRelease, spool: Spool, spec: RewardSpec, logs: Logs = nobodys
) -> tuple[Policy | None, str]:
    """The policy whose pmf was served; None for the uniform fallback of a failed champion."""
    if decision.role == FALLBACK and decision.policy == "uniform":
        return None, f"uniform: {decision.fallback_reason}"
    role = CANDIDATE if decision.role in IN_CANDIDATES_PLACE else CHAMPION
    policy = fast_loop.rebuilt(release, role, spool, spec, until_step=decision.posterior_step)
    text = f"{role} {policy.name} at step {decision.posterior_step}"
    if not (name := decision.shared_posterior):
        return policy, text
    others = Rederivation(release=release, role=role, spool=spool, logs=logs, spec=spec)
    return others.with_others(policy, name), f"{text}, with what other hosts had learnt ({name})"


def _pmf(decision: Decision, policy: Policy | None, batch: Batch, release: LoadedRelease) -> F64:
    if decision.role == APPRENTICE:  # the first of its arms, whatever the policy would have done
        return np.asarray(np.eye(1, len(decision.arms))[0])
    if policy is None:
        return np.asarray(release.exploration.uniform(batch)[0])
    if decision.role == CHAMPION and not decision.fallback_reason:
        return np.asarray(release.exploration.pmf(policy, batch)[0])
    return np.asarray(release.exploration.alone(policy, batch)[0])


def _baseline(decision: Decision, batch: Batch, release: LoadedRelease) -> list[ReplayStep]:
    """The step that says whether the baseline had the logged probability of the arm, where a promise is made."""
    promise, derived = OnRecord.read(decision.conservative), release.exploration.promised(batch)
    if promise is None or derived is None:
        return []
    own = float(derived.baseline[0, decision.arms.index(decision.arm)])
    said = f"logged {promise.baseline:.9g}, derived {own:.9g}"
    return [ReplayStep("baseline", abs(own - promise.baseline) <= TOLERANCE, said)]


def _outcome(decision: Decision, pmf: tuple[float, ...]) -> list[ReplayStep]:
    expected = dict(zip(decision.arms, pmf, strict=False)).get(decision.arm, 0.0)
    holds = abs(expected - decision.propensity) <= TOLERANCE
    return [ReplayStep("propensity", holds, f"logged {decision.propensity:.9g}, derived {expected:.9g}")]


def loader(home: Path, fetch: Callable[[int, Path], object]) -> Callable[[int], LoadedRelease]:
    """Releases from this host's Triton repository, else fetched from the store into <home>/replay; kept once loaded."""
    known: dict[int, LoadedRelease] = {}

    def load(number: int) -> LoadedRelease:
        if number not in known:
            folder = layout.served(home, number)
            if not folder.exists():
                folder = home / layout.REPLAYED / str(number)
                if not folder.exists():
                    _whole(folder, partial(fetch, number))
            known[number] = releases.load(folder)
        return known[number]

    return load


def _whole(folder: Path, fetch: Callable[[Path], object]) -> None:
    """Fetched beside it and renamed: what broke off leaves nothing that looks like a release."""
    draft = folder.with_name(f".{folder.name}-{os.getpid()}")
    try:
        fetch(draft)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
