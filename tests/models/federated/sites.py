"""Sites of one small world: a policy that was trained once, the rows of three sites, and files of their sums."""

import numpy as np

from croupier.models.bayesian.linear import LinTS
from croupier.models.bayesian.neural_linear import NeuralLinear
from croupier.models.federated import summed
from croupier.models.federated.profile import SiteProfile
from croupier.models.federated.site_moments import SiteMoments
from croupier.models.simulation.synthetic import LinearWorld

WORLD = LinearWorld.make(2)
BEFORE = [WORLD.log(300, 1)]
ROWS = {"graz": [WORLD.log(400, 2), WORLD.log(150, 3)], "linz": [WORLD.log(90, 4)], "wien": [WORLD.log(700, 5)]}


def policies():
    """One of each family whose sums add, trained on rows that no site has."""
    linear = LinTS(cross="none").learn(BEFORE)
    return {"lin_ts": linear, "neural_linear": NeuralLinear(hidden=(8,), epochs=3).learn(BEFORE, seed=1)}


def profile_of(policy, **parts):
    """The profile of a policy of some release."""
    given = {"release": "r7", "encoder": "e1", "features": "f1", "reward": "w1"}
    return SiteProfile.of(policy, **(given | parts))


def site(policy, name, log=None, **more):
    """What a site tells of its rows, without noise."""
    moments = summed.exact(policy, ROWS[name] if log is None else log)
    told = {"profile": profile_of(policy), "since": 0, "until": 3_600_000_000} | more
    return SiteMoments(site=name, moments=moments, **told)


def far(one, other):
    """The largest difference of any sum, relative to the largest of its kind."""
    pairs = [(one.A, other.A), (one.b, other.b), (np.array([one.rr, one.n]), np.array([other.rr, other.n]))]
    return max(np.abs(a - b).max() / np.abs(b).max() for a, b in pairs)
