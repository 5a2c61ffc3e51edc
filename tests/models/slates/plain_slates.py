"""Slate policies as their papers write them, one request and one slate at a time."""

from math import exp, prod


def plackett_luce(weights, slate):
    """Π w_a / Σ of the weights that are left."""
    return prod(weights[a] / sum(w for b, w in enumerate(weights) if b not in slate[:j]) for j, a in enumerate(slate))


def top_votes(scores, slate):
    """Share of the draws (columns of scores) whose greatest arms are this slate, in this order."""
    draws = list(zip(*scores, strict=True))
    best = [tuple(sorted(range(len(s)), key=lambda a, s=s: -s[a]))[: len(slate)] for s in draws]
    return sum(b == tuple(slate) for b in best) / len(best)


def diversified(scores, likeness, weight, temperature, slate):
    """Π of softmaxes of (1 − λ) score − λ max likeness."""

    def value(a, above):
        return ((1 - weight) * scores[a] - weight * max((likeness[a][b] for b in above), default=0.0)) / temperature

    def one(j, a):
        left = [b for b in range(len(scores)) if b not in slate[:j]]
        return exp(value(a, slate[:j])) / sum(exp(value(b, slate[:j])) for b in left)

    return prod(one(j, a) for j, a in enumerate(slate))
