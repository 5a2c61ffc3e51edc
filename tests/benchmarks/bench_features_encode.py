"""Encoding: Parquet to training matrix, the log's JSON to training matrix, and one request on the serving path.

CPU seconds of this process (all threads), ours and the other taken in turn, the ratio of each round.
"""

import tempfile
import time
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pyarrow.parquet as pq

from croupier.features.declared.feature import Feature
from croupier.features.encoding import dataset
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm
from croupier.features.spec import AppSpec

ROUNDS, ROWS, ARMS = 5, 40_000, 20


def cpu(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(name, workload, ours, other, *, unit, scale, target, met):
    """`scale(seconds)` is what is shown; ratio = ours/other of CPU seconds; `met(seconds, ratio)`."""
    ours(), other()
    times = [(cpu(ours), cpu(other)) for _ in range(ROUNDS)]
    a, b = (float(np.median(column)) for column in zip(*times, strict=True))
    ratios = [x / y for x, y in times]
    ratio = float(np.median(ratios))
    return {
        "name": name,
        "workload": workload,
        "ours": scale(a),
        "other": scale(b),
        "unit": unit,
        "ratio": ratio,
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "rounds": ROUNDS,
        "target": target,
        "met": bool(met(a, ratio)),
    }


def log(n, *, numeric, categorical, seed=0):
    """Typed contexts (n rows) and the app that declares them."""
    rng = np.random.default_rng(seed)
    words = np.array([f"value-{j}" for j in range(12)])
    columns = {f"n{i}": rng.normal(size=n).round(4) for i in range(numeric)}
    columns |= {f"c{i}": words[rng.integers(12, size=n)] for i in range(categorical)}
    context = {c: Feature(type="numeric" if c[0] == "n" else "categorical") for c in columns}
    return pl.DataFrame(columns), AppSpec(context=context, arm={"arm_id": Feature(type="categorical")})


def interactions(contexts):
    n, arms = len(contexts), [f"a{i}" for i in range(ARMS)]
    rng = np.random.default_rng(1)
    texts = [orjson.dumps(row).decode() for row in contexts.to_dicts()]
    chosen = rng.integers(ARMS, size=n)
    return pl.DataFrame(
        {
            "event_id": [f"e{k}" for k in range(n)],
            "role": ["champion"] * n,
            "context": texts,
            "arms": [arms] * n,
            "arm_context": ["[]"] * n,
            "pmf": [[1 / ARMS] * ARMS] * n,
            "arm": [arms[k] for k in chosen],
            "reward": rng.random(n).round(2),
            "propensity": [1 / ARMS] * n,
            "at": np.arange(n),
            "unit_id": [f"{k:032x}" for k in range(n)],
            "pass_probability": [1.0] * n,
        }
    )


def into_numpy(path):
    return lambda: [column.to_numpy() for column in pq.read_table(path).columns]


def rows():
    frame, spec = log(ROWS, numeric=40, categorical=24)
    arms = [Arm(arm_id=f"a{i}", features={}) for i in range(ARMS)]
    table = interactions(frame)
    encoder = Encoder.fit(spec, table[:5000], arms)
    catalogue = encoder.catalogue(arms)
    rate = {"unit": "rows/CPU-s", "scale": lambda s: ROWS / s, "target": "≥ 500k/s or ≤ 3×",
            "met": lambda s, ratio: ROWS / s >= 500_000 or ratio <= 3}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        typed, logged, encoded = (Path(folder) / f"{name}.parquet" for name in ("typed", "logged", "encoded"))
        frame.write_parquet(typed)
        table.write_parquet(logged)
        dataset.write(encoded, dataset.encode_chunks(table, encoder, catalogue), encoder)
        out = [
            compare("parquet to matrix", "64 typed features; against the same Parquet into numpy",
                    lambda: encoder.context.frame_matrix(pl.read_parquet(typed)), into_numpy(typed), **rate),
            compare("log to matrix", "64 features as JSON, 20 arms; against the same Parquet into numpy",
                    lambda: dataset.encode_interactions(pl.read_parquet(logged), encoder, catalogue),
                    into_numpy(logged), **rate),
            compare("encoded log to arrays", "what a training pass reads; against the same Parquet into numpy",
                    lambda: list(dataset.read(encoded, catalogue)), into_numpy(encoded), **rate),
        ]  # fmt: skip
    return [*out, served()]


def served():
    """The encoder's share of a decision: 32 features, 20 arms, 64 decisions a batch."""
    frame, spec = log(64, numeric=24, categorical=8)
    arms = [Arm(arm_id=f"a{i}", features={}) for i in range(ARMS)]
    encoder = Encoder.fit(spec, interactions(frame), arms)
    catalogue, contexts = encoder.catalogue(arms), frame.to_dicts()
    texts, ids, pairs = [orjson.dumps(c) for c in contexts], [list(catalogue.ids)] * 64, [()] * 64
    again = range(200)
    return compare(
        "encode a request",
        "32 features, K=20, B=64; against decoding its JSON",
        lambda: [encoder.encode(contexts, ids, pairs, catalogue) for _ in again],
        lambda: [[orjson.loads(text) for text in texts] for _ in again],
        unit="µs/decision",
        scale=lambda s: s / 200 / 64 * 1e6,
        target="≤ 5 µs",
        met=lambda s, _: s / 12_800 <= 5e-6,
    )
