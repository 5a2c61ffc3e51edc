"""A selector over a small release, and a policy that misbehaves in ten ways."""

from dataclasses import replace

import numpy as np

from croupier.models.baselines import Uniform
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.selector import Selector
from croupier.serving.release.rollout_mirror import RolloutReader
from tests.serving import apps


class Broken(Uniform):
    """A policy that misbehaves in the way its name says."""

    def __init__(self, name):
        self.name = name

    def pmf(self, batch):
        if self.name == "raises":
            raise RuntimeError("no such tensor")
        if self.name == "exits":
            raise SystemExit(3)
        if self.name == "unspeakable":
            raise Unspeakable
        if self.name == "surrogate":
            raise RuntimeError("no file \udcff")
        right = super().pmf(batch)
        return {
            "nan": right * np.nan,
            "sums to two": right * 2,
            "negative": -right,
            "shape": right[:, :1],
            "list": right.tolist(),
            "none": None,
        }[self.name]


def calm():
    """A candidate's breaker that waits a minute: a busy machine is no slow candidate."""
    return CandidateBreaker(None, patience_ms=60_000)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def selector(home, spool, champion, candidate=None, share=0.0, **kwargs):
    kwargs.setdefault("breaker", calm())
    release = apps.write(home, champion, None if isinstance(candidate, Broken) else candidate, share=share)
    if isinstance(candidate, Broken):
        release = replace(release, candidate=candidate)
    return Selector(release, recorder=spool, rollout=RolloutReader(home / "rollout.json"), unit_key="k", **kwargs)
