"""The formulas of models/exploration.py and of the linear policies as their papers write them: one request at a time, in
plain Python. Those that serve are written for speed; test_plain_formulas.py holds them to these.

A request is a list of scores, larger is better; padding is not in it.
"""

from math import erf, exp, isfinite, pi, sqrt

from scipy.integrate import quad


def guard(row, candidates):
    """Is this row (padding included) a pmf over its candidates? Raises ValueError."""
    for p, candidate in zip(row, candidates, strict=True):
        if not isfinite(p) or p < 0 or (p > 0 and not candidate):
            raise ValueError(f"found mass {p}")
    if abs(sum(row) - 1.0) > 1e-6:
        raise ValueError(f"found a sum of {sum(row)}")
    return [min(p, 1.0) for p in row]


def greedy(scores, tie=0.0, order=None):
    """All mass on the best; what ties shares it, or the first by `order` has it."""
    best = max(scores)
    tied = [i for i, s in enumerate(scores) if best - s <= tie * (abs(s) + abs(best))]
    if order is not None:
        tied = [min(tied, key=lambda i: order[i])]
    return [1 / len(tied) if i in tied else 0.0 for i in range(len(scores))]


def squarecb(scores, gamma, order=None):
    """p_a = 1 / (K + γ (s_best − s_a)) for a ≠ best; p_best = 1 − Σ p_a (Foster & Rakhlin 2020, eq. 3). Of tied ones
    the first by `order` is the best; without it, each is in turn, and their mean counts."""
    top, K = max(scores), len(scores)
    tied = [i for i, s in enumerate(scores) if s == top]
    firsts = tied if order is None else [min(tied, key=lambda i: order[i])]
    pmf = [0.0] * K
    for best in firsts:
        others = [0.0 if i == best else 1 / (K + gamma * (top - s)) for i, s in enumerate(scores)]
        others[best] = 1 - sum(others)
        pmf = [p + q / len(firsts) for p, q in zip(pmf, others, strict=True)]
    return pmf


def eliminate(low, high):
    """Uniform over those whose upper bound reaches the highest lower bound (Foster et al. 2018, RegCB)."""
    stay = [h >= max(low) for h in high]
    return [s / sum(stay) for s in stay]


def enforce_minimum(pmf, epsilon):
    """The nearest pmf with at least ε/K everywhere: max(ε/K, p − τ), τ by bisection such that it sums to 1."""
    least = epsilon / len(pmf)
    low, high = -1.0, 1.0
    for _ in range(200):
        tau = (low + high) / 2
        low, high = (tau, high) if sum(max(least, p - tau) for p in pmf) > 1 else (low, tau)
    return [max(least, p - tau) for p in pmf]


def votes(draws):
    """Share of the draws that each wins; a draw tied between n gives each 1/n."""
    pmf = [0.0] * len(draws[0])
    for scores in draws:
        won = [s == max(scores) for s in scores]
        pmf = [p + w / sum(won) / len(draws) for p, w in zip(pmf, won, strict=True)]
    return pmf


def best_of_normals(mean, sd):
    """P(a is the largest) = ∫ φ_a(x) Π_{b≠a} Φ_b(x) dx, for independent N(mean, sd²), by adaptive quadrature."""

    def density(x, a):
        product = exp(-0.5 * ((x - mean[a]) / sd[a]) ** 2) / (sd[a] * sqrt(2 * pi))
        for b in range(len(mean)):
            product *= 1.0 if b == a else 0.5 * (1 + erf((x - mean[b]) / (sd[b] * sqrt(2))))
        return product

    return [
        quad(density, mean[a] - 8 * sd[a], mean[a] + 8 * sd[a], args=(a,), epsabs=1e-11, limit=200)[0]
        for a in range(len(mean))
    ]


def with_floor(pmf, epsilon):
    """(1 − ε) p + ε/K."""
    return [(1 - epsilon) * p + epsilon / len(pmf) for p in pmf]


def with_newcomers(pmf, new, share):
    """(1 − ν) p + ν/n on each of the n new arms; as it is where there is none."""
    n = sum(new)
    return [(1 - share) * p + share * is_new / n for p, is_new in zip(pmf, new, strict=True)] if n else list(pmf)


def linear_scores(weights, u, x, *, cross):
    """φᵀw with φ = [u; x; u ⊗ x; 1], or [u; x; 1] without `cross`; x = [arm; pair] of one candidate."""
    phi = [*u, *x, *(a * b for a in u for b in x if cross), 1.0]
    return sum(f * w for f, w in zip(phi, weights, strict=True))


def draw(pmf, u):
    """The first arm whose cumulative mass exceeds u · Σ."""
    total = 0.0
    for arm, p in enumerate(pmf):
        total += p
        if total > u * sum(pmf):
            return arm
    raise ValueError("u is below 1")
