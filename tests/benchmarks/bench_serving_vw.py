"""In-process serving against Vowpal Wabbit through pyvw, on workload J: K = 20 arms, 32 + 32 features, one thread.

"JSON to decision" includes what a server must do: JSON decoded and validated, features encoded, pmf with floor, the
draw by event id, the decision made; the disk is left out (bench_serving.py has it in). "Encoded to arm" begins at the
encoded batch and ends at the drawn arm and its logged propensity. pyvw's side is its `predict` alone: of a request's
text, which is what it has for one, or of examples parsed before. Both in CPU time of this process, so that neighbours
on the machine count less.
"""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
import vowpalwabbit

from croupier.features.batch import Batch
from croupier.features.encoding.dataset import encode_interactions
from croupier.features.encoding.encoder import Encoder
from croupier.features.ids import uuid7
from croupier.features.schema import Arm, Decision
from croupier.features.spec import AppSpec
from croupier.models import exploration, policy
from croupier.models.vw import train
from croupier.serving.contract.requests import Raw, Request
from croupier.serving.decide import draws
from croupier.serving.decide.selector import Selector
from croupier.serving.release import bundle
from tests.benchmarks.bench_serving import row

K, D, B, ROUNDS, LOG = 20, 32, 64, 7, 2000
VW_FLAGS = "--cb_explore_adf --squarecb --gamma_scale 1000 --epsilon 0.01 --cb_type mtr -q UA -l 2 --quiet"
EVENTS = [uuid7() for _ in range(B)]


class Workload:
    """J: numeric features, a log of uniform decisions to learn from, and fresh requests as JSON."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        numeric = {"type": "numeric", "transform": "none"}
        self.spec = AppSpec.model_validate(
            {
                "context": {f"u{i}": numeric for i in range(D)},
                "arm": {f"x{i}": numeric for i in range(D)},
            }
        )
        self.arms = [
            Arm(arm_id=f"arm-{k:02d}", features={f"x{i}": float(v) for i, v in enumerate(rng.normal(size=D))})
            for k in range(K)
        ]
        ids, truth = [a.arm_id for a in self.arms], rng.normal(size=D) / D
        self.requests, rows = [], []
        for n in range(LOG):
            context = {f"u{i}": round(float(v), 4) for i, v in enumerate(rng.normal(size=D))}
            self.requests.append(Request(unit_id=f"user-{n}", context=context, arms=ids))
            j = int(rng.integers(K))
            decision = Decision(
                event_id=f"e{n}",
                at=n,
                unit_id="u",
                context=context,
                arms=tuple(ids),
                pmf=(1 / K,) * K,
                arm=ids[j],
                propensity=1 / K,
                policy="uniform",
                role="champion",
                release=0,
            )
            score = float(np.dot(list(context.values()), truth)) * self.arms[j].features["x0"]
            reward = float(rng.random() < 1 / (1 + np.exp(-5 * score)))
            rows.append(decision.to_row() | {"reward": reward, "reward_count": 1, "reward_at": n})
        import polars as pl

        self.encoder = Encoder.empty(self.spec, self.arms)
        self.catalogue = self.encoder.catalogue(self.arms)
        self.log = encode_interactions(pl.DataFrame(rows), self.encoder, self.catalogue)
        self.raws = [Raw.of(r) for r in self.requests]

    def batch(self, start: int, size: int) -> Any:
        part = self.requests[start : start + size]
        return self.encoder.encode([r.context for r in part], [r.arms for r in part], [()] * size, self.catalogue)


def each(work: Callable[[int], Any], *, size: int, decisions: int = 512) -> float:
    """µs a decision of `work(start)`, which decides `size` of them."""
    starts = range(0, decisions, size)
    work(0)
    began = time.process_time()
    for start in starts:
        work(start)
    return (time.process_time() - began) / (len(starts) * size) * 1e6


def pyvw(w: Workload, flags: str) -> tuple[Any, list[Any], list[str]]:
    """A model trained on the log, the first examples parsed already, and their text."""
    vw, log = vowpalwabbit.Workspace(flags), StringIO()
    train.write(log, w.log, low=0.0, high=1.0)
    for example in log.getvalue().strip().split("\n\n"):
        vw.learn(example.split("\n"))
    texts = train.text(w.batch(0, 512)).strip().split("\n\n")
    return vw, [vw.parse(text.split("\n")) for text in texts[:512]], texts


class Memory:
    """A log that forgets: the disk is measured elsewhere."""

    def append_decisions(
        self, decisions: Sequence[Decision], undeclared: Mapping[str, int] | None = None
    ) -> list[Decision]:
        return list(decisions)

    def append_rejects(self, rejects: Sequence[Any]) -> None:
        """Nothing is refused here."""


def selector(w: Workload, folder: Path, name: str, **parameters: Any) -> Selector:
    learnt = policy.make(name, **parameters).learn([w.log], seed=1)
    bundle.write_release(
        folder / "1", number=1, champion=learnt, candidate=None, encoder=w.encoder, arms=w.arms, floor=0.02, meta={}
    )
    return Selector(bundle.load(folder / "1"), recorder=Memory(), rollout=None, unit_key="k")


def drawn(s: Selector, batch: Batch) -> tuple[Any, Any]:
    """Encoded requests to their arms and propensities, floor, guard and draw by event id included."""
    pmf = exploration.guard(s.release.pmf("champion", batch), batch.mask)
    chosen = draws.draw(pmf.tolist(), s.release.salt, EVENTS[: len(batch)])
    return chosen, pmf[np.arange(len(batch)), chosen]


def rows() -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    w, results = Workload(), {}
    with tempfile.TemporaryDirectory() as folder:
        tensors = selector(w, Path(folder) / "vw", "vw_cb_adf")
        neural = selector(w, Path(folder) / "nl", "neural_linear", hidden=(64,), draws=128)
        linear = selector(w, Path(folder) / "lin", "lin_ts", draws=128)
        vw, parsed, texts = pyvw(w, VW_FLAGS)
        bag, bag_parsed, bag_texts = pyvw(w, "--cb_explore_adf --bag 10 --cb_type mtr -q UA -l 2 --quiet")
        batches = {i: w.batch(i, B) for i in range(0, 512, B)}
        works: dict[str, tuple[int, Callable[[int], Any]]] = {
            "linear": (B, lambda i: drawn(linear, batches[i])),
            "neural": (B, lambda i: drawn(neural, batches[i])),
            "bag": (1, lambda i: bag.predict(bag_texts[i].split("\n"))),
            "bag parsed": (1, lambda i: bag.predict(bag_parsed[i])),
            "linear whole": (B, lambda i: linear.select_raw(w.raws[i : i + B])),
            "neural whole": (B, lambda i: neural.select_raw(w.raws[i : i + B])),
            "tensors": (B, lambda i: tensors.release.champion.pmf(batches[i])),
            "parsed": (1, lambda i: vw.predict(parsed[i])),
            "whole B": (B, lambda i: tensors.select_raw(w.raws[i : i + B])),
            "whole 1": (1, lambda i: tensors.select_raw(w.raws[i : i + 1])),
            "text": (1, lambda i: vw.predict(texts[i].split("\n"))),
        }
        for _ in range(ROUNDS):
            for name, (size, work) in works.items():
                results.setdefault(name, []).append(each(work, size=size))
        for workspace, examples in ((vw, parsed), (bag, bag_parsed)):
            for example in examples:
                workspace.finish_example(example)
            workspace.finish()
    sides = "S = 128, B = 64, encoded to arm and propensity"
    pairs = [
        ("LinTS, shared posterior over [u; x; u⊗x; 1]", f"{sides}, against pyvw --bag 10 from text", "linear", "bag", 30.0),
        ("the same", f"{sides}, against pyvw --bag 10 on parsed examples", "linear", "bag parsed", 5.0),
        ("neural-linear 64-64", f"{sides}, against pyvw --bag 10 from text", "neural", "bag", 30.0),
        ("LinTS, whole path", "JSON to decision, B = 64, against pyvw --bag 10 from text", "linear whole", "bag", 3.0),
        ("neural-linear, whole path", "JSON to decision, B = 64, against pyvw --bag 10 from text", "neural whole", "bag", 3.0),
        ("VW as tensors, scoring", "B = 64, encoded to pmf, against pyvw on parsed examples", "tensors", "parsed", 20.0),
        ("VW as tensors, whole path", "B = 64, JSON to decision, against pyvw from text", "whole B", "text", 3.0),
    ]  # fmt: skip
    table = [
        row(name, workload, "times as fast (µs a decision)", results[other], results[ours], at_least=target)
        | {"ours": float(np.median(results[ours])), "other": float(np.median(results[other]))}
        for name, workload, ours, other, target in pairs
    ]
    table.append(
        row(
            "VW as tensors, one at a time",
            "B = 1, JSON to decision, against pyvw from text",
            "µs a decision",
            results["whole 1"],
            results["text"],
            at_most=2.0,
        )
    )
    return table
