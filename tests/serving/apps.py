"""A small app of the reels world, as a release in a Triton repository: what serving's tests and benchmarks run on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from croupier.features.batch import Interactions
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World
from croupier.models import policy
from croupier.models.policy import Policy
from croupier.serving.contract.requests import Request
from croupier.serving.release import bundle, rollout_mirror, rollout_state
from croupier.serving.release.bundle import LoadedRelease
from croupier.serving.release.exploration.toward import Toward
from croupier.serving.triton.repository import SELECT_ARM

FLOOR = 0.02


@dataclass(frozen=True)
class Sample:
    """The world's log of n uniform decisions, encoded."""

    world: World
    spec: AppSpec
    encoder: Encoder
    log: Interactions

    @property
    def arms(self) -> list[Arm]:
        return self.world.arms()

    def requests(self, n: int, seed: int = 0, *, strange: bool = False) -> list[Request]:
        """Ragged requests; `strange`: a third have unknown categories, a third lack features."""
        visits = self.world.users(n, np.random.default_rng(seed))
        out = []
        for i, v in enumerate(visits):
            context = dict(v.context)
            if strange and i % 3 == 1:
                context["country"] = f"new|country\n{i}"
            if strange and i % 3 == 2:
                del context["age"]
            out.append(
                Request(
                    unit_id=v.unit_id,
                    context=context,
                    arms=v.arms,
                    arm_context=v.arm_context,
                    event_id=f"event-{seed}-{i}",
                )
            )
        return out


@cache
def sample(n: int = 2000) -> Sample:
    import tomllib

    world = World(seed=1, n_arms=20)
    spec = AppSpec.model_validate(tomllib.loads(world.app_toml()))
    table = world.interactions(n)
    encoder = Encoder.fit(spec, table, world.arms())
    return Sample(world, spec, encoder, encode_interactions(table, encoder, encoder.catalogue(world.arms())))


@cache
def trained(name: str, n: int = 2000) -> Policy:
    return policy.make(name).learn([sample(n).log], seed=3)


def write(
    home: Path,
    champion: Policy,
    candidate: Policy | None = None,
    *,
    number: int = 1,
    share: float = 0.0,
    floor: float = FLOOR,
    encoder: Encoder | None = None,
    arms: Sequence[Arm] = (),
    meta: Mapping[str, Any] | None = None,
    toward: Toward | None = None,
) -> LoadedRelease:
    """A release in <home>/triton/select_arm/<number>, and a rollout file that gives the candidate `share` of units."""
    app = sample()
    folder = home / "triton" / SELECT_ARM / str(number)
    bundle.write_release(
        folder,
        number=number,
        champion=champion,
        candidate=candidate,
        encoder=encoder or app.encoder,
        arms=arms or app.arms,
        floor=floor,
        meta=meta or {},
        golden=(),
        salt=f"release-{number}",  # the same draws in every run
        toward=toward,
    )
    state = rollout_state.RolloutState(
        release=number, stage=f"{share:.0%}", share=share, salt=f"rollout-{number}", since=0
    )
    rollout_mirror.mirror(state, home)
    return bundle.load(folder)


def offline(loaded: LoadedRelease, requests: list[Request], role: str = "champion") -> np.ndarray:
    """The policy's own answer to the same requests, through no server: (B, K)."""
    batch = loaded.encoder.encode(
        [r.context for r in requests], [r.arms for r in requests], [r.arm_context for r in requests], loaded.catalogue
    )
    return loaded.pmf(role, batch)
