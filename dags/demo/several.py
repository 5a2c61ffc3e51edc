"""The act of several at once: three arms on a page, and patches of an image under a token budget, in one process."""

import time
from typing import Any

import numpy as np

from croupier.dags.demo import story
from croupier.features import clock
from croupier.features.utc import HOUR, from_us
from croupier.features.workspace import Workspace
from croupier.features.worlds.patches import TAU, TOKENS, Patches, Questions
from croupier.models.allocation.from_log import votes_of
from croupier.models.allocation.request import Budget, Weights
from croupier.serving.contract.allocations import Allocated
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.operate import loop
from croupier.serving.release.bundle import LoadedRelease

QUESTIONS, JUDGED, TOTAL = 400, 100, 128  # questions that are logged, and asked afterwards; tokens a patch
PATCHES = """
[reward]
window_seconds = 300.0            # of the demo's clock, which runs sixty times as fast
[reward.kinds.used]
[context.question]
type = "embedding"
length = 4
[context.patch]
type = "embedding"
length = 4
[arm.tokens]
type = "categorical"
[[interactions]]
a = "context.question"
b = "context.patch"
[policies]
candidates = ["lin_ts"]
[policies.parameters.lin_ts]
draws = 32
[gate]
min_rows = 500
[allocation.costs]
"""


def act_four(page_of: str) -> dict[str, Any]:
    """Plays the act: a page of `page_of`, an app that serves already, and an app of its own. Returns its figures."""
    story.heading("Act four: several at once")
    began = time.monotonic()
    with Embedded(page_of) as app:
        page = app.select_slate(unit_id="reader", k=3)
    story.say(f"a page of three: {', '.join(page.arms)}, with probability {page.propensity:.4f}")
    facts = {"page": list(page.arms), "page_propensity": page.propensity} | _patches()
    return facts | {"seconds": round(time.monotonic() - began, 1)}


def _patches() -> dict[str, Any]:
    """Questions about images: 128 tokens a patch on average, at random until the gate is convinced."""
    world, rng, w = Patches(seed=4), np.random.default_rng(4), Workspace.open("patches")
    toml = PATCHES + "".join(f'"{n}" = {n}\n' for n in TOKENS)
    arms = {str(n): {"tokens": str(n)} for n in TOKENS}
    with Embedded.declared("patches", toml=toml, arms=arms) as app:
        asked, began = world.ask(QUESTIONS, rng), clock.now_us()
        over = 0
        for i in range(QUESTIONS):
            found = _allocated(app, world, asked, i)
            over += found.cost > TOTAL * world.patches
            useful = _useful(world, asked, i, found, rng)
            app.reward_batch([{"event_id": event, "kind": "used", "value": 1.0} for event in useful])
        time.sleep(6)  # the last window closes
        verdict = loop.turn("patches", (_hour(began), _hour(clock.now_us() + HOUR)))["verdict"]
        app.host.look()
        release = app.host.selector.release
    told = _judged(world, release, world.ask(JUDGED, rng))
    story.say(f"{QUESTIONS} questions of {world.patches} patches, {over} over their total; gate: {verdict['summary']}")
    how = "as the candidate allocates" if release.candidate else "at random, as is served until the gate is convinced"
    said = f"{told['fixed']:.1%} alike everywhere, {told['served']:.1%} {how}"
    story.say(f"right answers at {TOTAL} tokens a patch: {said}")
    return told | {"over_budget": over, "verdict": verdict["summary"], "app": w.settings.app}


def _hour(at: int) -> str:
    return from_us(at).isoformat()


def _items(asked: Questions, i: int) -> list[dict[str, Any]]:
    return [{"features": {"patch": patch.tolist()}} for patch in asked.patch[i]]


def _allocated(app: Embedded, world: Patches, asked: Questions, i: int) -> Allocated:
    """The tokens of one question's patches."""
    total, question = float(TOTAL * world.patches), asked.question[i].tolist()
    return app.allocate(unit_id=f"q{i}", context={"question": question}, items=_items(asked, i), total=total)


def _useful(world: Patches, asked: Questions, i: int, found: Allocated, rng: np.random.Generator) -> list[str]:
    """The events of the patches that were of use: those that show what is asked, the likelier the more tokens."""
    seen = 1 - np.exp(-np.array(list(map(float, found.options))) / TAU[asked.type[i]])
    useful = rng.random(world.patches) < seen * world.needed(asked)[i]
    return [event for event, use in zip(found.events, useful.tolist(), strict=True) if use]


def _judged(world: Patches, release: LoadedRelease, asked: Questions) -> dict[str, float]:
    """The true share of right answers: as the release allocates, by its candidate if it has one, with exploration; and
    alike everywhere."""
    policy = release.candidate or release.champion
    n, options = world.patches, [str(tokens) for tokens in TOKENS]
    budget = Budget(cost=np.tile(np.array(TOKENS, np.float64), (n, 1)), total=float(TOTAL * n))
    marginals = []
    for i in range(len(asked)):
        contexts = [{"question": asked.question[i].tolist(), "patch": patch.tolist()} for patch in asked.patch[i]]
        batch = release.encoder.encode(contexts, [options] * n, [()] * n, release.catalogue)
        (votes,) = votes_of(policy, budget, batch, floor=release.floor, weights=Weights())
        marginals.append(votes.marginals())
    right = world.accuracy(asked, np.stack(marginals))
    return {"served": float(right.mean()), "fixed": float(world.fixed(asked, TOTAL).mean())}
