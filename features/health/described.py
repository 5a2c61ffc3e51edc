"""What the features of an hour looked like: counts by bin or category, missing values, and how they go with the reward.

"won" counts the same of the decisions that earned more than the least reward, or, where arms are prices, sold anything,
by the value that their shown arm had; for a pair, "shown" counts the shown arms', since "bins" counts all on offer.
Words of lists have neither.

At most ROWS rows of an hour are given, evenly spread over it: a histogram of 50,000 is as good as one of a million.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson
import polars as pl

from croupier.features.declared.feature import Feature
from croupier.features.encoding.fitted import seconds_of
from croupier.features.encoding.vocabulary import counts_of, text_of
from croupier.features.health import sketch
from croupier.features.spec import AppSpec
from croupier.features.utc import SECOND

ROWS = 50_000
CATEGORIES = 60  # of one feature that are told apart in an hour; rarer ones are counted as others
PAIR, CONTEXT = "arm_context", "context"


def described(rows: pl.DataFrame, spec: AppSpec) -> dict[str, dict[str, Any]]:
    """Returns the figure of each declared feature of the request and of the pair, by scope and name."""
    at, reward = rows["at"].to_list(), rows["reward"].to_numpy()
    found: dict[str, list[Any]] = {name: [] for name in spec.context}
    for text in rows["context"] if spec.context else ():
        context = orjson.loads(text)
        for name, values in found.items():
            values.append(context.get(name))
    out = {}
    for name, feature in spec.context.items():
        values = found[name]
        figure = _figure(feature, values, at)
        won = _won(feature, values, at, _has_won(reward, spec), figure)
        out[f"{CONTEXT}.{name}"] = figure | _with_reward(feature, values, reward) | won
    if spec.arm_context:
        out |= _pairs(rows, spec, at, reward)
    return out


def _pairs(rows: pl.DataFrame, spec: AppSpec, at: list[int], reward: Any) -> dict[str, dict[str, Any]]:
    """Looks at the pairs of all arms that were offered; only the shown arm's goes with the reward."""
    every: dict[str, list[Any]] = {name: [] for name in spec.arm_context}
    mine: dict[str, list[Any]] = {name: [] for name in spec.arm_context}
    times: list[int] = []
    for text, j, t in zip(rows["arm_context"], _shown(rows), at, strict=True):
        pairs = orjson.loads(text)
        times += [t] * len(pairs)
        for name, values in every.items():
            values += [pair.get(name) for pair in pairs]
            mine[name].append(pairs[j].get(name) if 0 <= j < len(pairs) else None)
    out, won = {}, _has_won(reward, spec)
    for name, feature in spec.arm_context.items():
        figure = _figure(feature, every[name], times)
        shown = _counts(feature, mine[name], at, figure) if feature.type != "tags" else {}
        told = _won(feature, mine[name], at, won, figure)
        out[f"{PAIR}.{name}"] = (
            figure | _with_reward(feature, mine[name], reward) | ({"shown": shown} if told else {}) | told
        )
    return out


def _has_won(reward: Any, spec: AppSpec) -> Any:
    """(n,): whether a decision earned more than the least; of prices, whether it sold, at a loss or not."""
    return reward != 0 if spec.pricing.declared else reward > spec.reward.range[0]


def _won(
    feature: Feature, values: Sequence[Any], at: Sequence[int], won: Any, figure: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns {"won": counts of the decisions with a reward}, of the figure's bins; {} for words of lists."""
    if feature.type == "tags":
        return {}
    where = np.flatnonzero(won).tolist()
    return {"won": _counts(feature, [values[i] for i in where], [at[i] for i in where], figure)}


def _counts(feature: Feature, values: Sequence[Any], at: Sequence[int], figure: Mapping[str, Any]) -> dict[str, Any]:
    """Returns bins, others and missing values; categories that the figure does not tell apart are others."""
    found = _figure(feature, values, at)
    kept = {key: n for key, n in found["bins"].items() if key in figure["bins"]}
    others = found["others"] + sum(found["bins"].values()) - sum(kept.values())
    return {"bins": kept, "others": others, "missing": found["missing"]}


def _shown(rows: pl.DataFrame) -> list[int]:
    pairs = zip(rows["arms"].to_list(), rows["arm"].to_list(), strict=True)
    return [arms.index(arm) if arm in arms else -1 for arms, arm in pairs]


def _figure(feature: Feature, values: Sequence[Any], at: Sequence[int]) -> dict[str, Any]:
    if feature.type == "categorical":
        return _of_categories(values)
    if feature.type == "tags":
        return _of_words(values)
    x = sketch.present(_numbers(feature, values, at))
    missing = len(values) - len(x)
    return {"type": "numeric", "n": len(values), "missing": missing, "bins": sketch.counted(x), "others": 0}


def _of_categories(values: Sequence[Any]) -> dict[str, Any]:
    counts = Counter(text for text in map(_text, values) if text is not None)
    kept = dict(counts.most_common(CATEGORIES))
    missing, others = len(values) - counts.total(), counts.total() - sum(kept.values())
    return {"type": "categorical", "n": len(values), "missing": missing, "bins": kept, "others": others}


def _of_words(values: Sequence[Any]) -> dict[str, Any]:
    """Counts the words of lists; `n` are all words, and the lists without any, which are missing."""
    lists = [v for v in values if isinstance(v, list)]
    counts, missing = counts_of("tags", lists), len(values) - sum(map(bool, lists))
    kept = dict(counts.most_common(CATEGORIES))
    n, others = counts.total() + missing, counts.total() - sum(kept.values())
    return {"type": "categorical", "n": n, "missing": missing, "bins": kept, "others": others}


def _text(value: Any) -> str | None:
    return text_of(value) if value is None or isinstance(value, str | bool | int | float) else repr(value)[:80]


def _numbers(feature: Feature, values: Sequence[Any], at: Sequence[int]) -> list[Any]:
    """Numbers as they are; of a time, how many seconds before the decision it was; of an embedding, its length."""
    if feature.type == "numeric":
        return list(values)
    if feature.type == "timestamp":
        return [None if v is None else t / SECOND - _seconds(v) for v, t in zip(values, at, strict=True)]
    return [float(np.linalg.norm(v)) if isinstance(v, list) and v else None for v in values]


def _seconds(value: Any) -> float:
    try:
        return seconds_of(value)
    except (ValueError, TypeError, OverflowError):
        return float("nan")


def _with_reward(feature: Feature, values: Sequence[Any], reward: Any) -> dict[str, Any]:
    """Returns {"reward": [n, mean x, Σ(x − x̄)², mean r, Σ(r − r̄)², Σ(x − x̄)(r − r̄)]} of a number; {} of others."""
    if feature.type != "numeric":
        return {}
    x = np.array(list(map(sketch.number, values)), np.float64)
    ok = np.isfinite(x) & np.isfinite(reward)
    x, r = x[ok], reward[ok]
    if not len(x):
        return {"reward": [0.0] * 6}
    mx, mr = float(x.mean()), float(r.mean())
    sums = float(((x - mx) ** 2).sum()), mr, float(((r - mr) ** 2).sum()), float(((x - mx) * (r - mr)).sum())
    return {"reward": [float(len(x)), mx, *sums]}
