"""The bets of serving/evidence/betting.py and hold_out.py as the formulas are written: one decision at a time, in plain
Python, with wealth as money and not as its logarithm. test_plain_bets.py holds those that run to these."""

from math import sqrt


def wealth(rows, effects, delta, *, harm, width, block):
    """Mean over the effects of  ∏ (1 ∓ e·c·(ξ − s(1 − s)δ)),  ξ = (A − s)(y − b), after every row.

    `rows` are (A, s, y) in order of time. b and the scale c of a block of rows come from the rows before it; those of
    the first block from itself. ∓: − against Δ ≥ δ (harm), + against Δ ≤ δ."""
    money, path = [1.0] * len(effects), []
    for i, (A, s, y) in enumerate(rows):
        start = i // block * block
        known = [y for _, _, y in (rows[:start] if start else rows[:block])]
        b, c = _mean(known), _scale(known, width)
        xi = (A - s) * min(max(y - b, -width), width)
        sign = -1.0 if harm else 1.0
        money = [m * (1 + sign * e * c * (xi - s * (1 - s) * delta)) for m, e in zip(money, effects, strict=True)]
        path.append(_mean(money))
    return path


def design_effect(rows, units, *, width, block):
    """φ = Σ_units (Σ ξ)² / Σ ξ², at least 1 (Kish 1965)."""
    sums, squares = {}, 0.0
    for i, ((A, s, y), unit) in enumerate(zip(rows, units, strict=True)):
        start = i // block * block
        b = _mean([y for _, _, y in (rows[:start] if start else rows[:block])])
        xi = (A - s) * min(max(y - b, -width), width)
        sums[unit] = sums.get(unit, 0.0) + xi
        squares += xi * xi
    return max(1.0, sum(v * v for v in sums.values()) / squares)


def edge(refuted, inside, outside, *, steps=24):
    """Where the δ that are refuted begin: the last that was, after so many halvings."""
    for _ in range(steps):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if refuted(middle) else (middle, outside)
    return outside


def mixture(from_start, at_day_starts, days):
    """Half of the money bet from the beginning, the rest in equal parts from the beginning of each later day. Each
    argument lists the money of every bet (one an effect); what is meant for days to come is still whole."""
    later = max(days - 1, 1)
    total = 0.5 * _mean(from_start)
    for then in at_day_starts:
        total += 0.5 / later * _mean([now / before for now, before in zip(from_start, then, strict=True)])
    return total + 0.5 * (1 - min(len(at_day_starts) / later, 1.0))


def _mean(values):
    return sum(values) / len(values)


def _scale(values, width):
    """max(|μ|, σ/10) / σ², at most 1.6 / width."""
    mean = _mean(values)
    variance = max(_mean([(v - mean) ** 2 for v in values]), 1e-12)
    return min(max(abs(mean), 0.1 * sqrt(variance)) / variance, 1.6 / width)
