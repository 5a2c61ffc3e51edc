"""A house whose candidate was promoted, and what it does after each look."""

from croupier.features import clock
from croupier.features.log.spool_rows import decision
from croupier.serving.operate import watch

KEPT = 0.1  # of units: ten times the default, so that a test needs a tenth of the visits


def promoted_house(house, candidate, champion=None, **settings):
    h = house(candidate, stages=(1.0,), **({"holdout": KEPT} | settings))
    if champion is not None:
        h.release(candidate, champion)
    finish(h)
    return h


def finish(h):
    """What the watch does after a look, at the house's own time."""
    with clock.at(h.now):
        number = watch.finish(h.store, h.home, triton=None, now=h.now, spec=h.spec.rollout)
    if number is not None:
        h.serve_with(number)
    return number


def logged(h):
    return [decision(body) for _, body in h.spool.read("decisions", limit=100_000)]
