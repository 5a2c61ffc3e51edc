"""What R rollouts know, hour by hour: the evidence of serving/evidence on counts instead of rows."""

import numpy as np

from croupier.features.batch import F64, I64, Bool
from croupier.features.spec import RolloutSpec
from croupier.serving.evidence import betting, lateness, seasons
from croupier.serving.simulation.rollout import LookRows, Wealth
from croupier.serving.simulation.season.world import HOURS, Hour, sides


class WholeSeasons:
    """The bets on whole seasons of R rollouts, an hour's counts (R, 24, 4) at a time."""

    def __init__(self, runs: int, spec: RolloutSpec) -> None:
        self.margins = sorted(set(spec.margins))
        self.count = np.zeros((runs, HOURS, 4))
        self.harm = np.zeros((len(betting.HARM_EFFECTS), runs))
        self.gain = np.zeros((len(self.margins), len(betting.GAIN_EFFECTS), runs))
        self.gained = np.zeros(runs)  # Σξ of all seasons
        self.before = np.zeros((2, runs))  # decisions and clicks of the seasons before
        self.latest = np.zeros((3, runs))  # Σξ, Σξ², and what a loss of all reward would come to

    def end(self, rows: I64, share: F64) -> None:
        """A season of these rollouts is over."""
        for each in np.unique(share):
            self._end(rows[share == each], float(each))

    def _end(self, rows: I64, share: float) -> None:
        hour = self.count[rows]  # (r, 24, 4)
        parts = seasons.hours_of(float(hour.sum(axis=(1, 2)).mean()), share)
        edges = np.linspace(0, HOURS, parts + 1)[:-1].astype(int)
        hour = np.add.reduceat(hour, edges, axis=1)
        candidate, score = sides(hour.shape)
        xi = seasons.within_hour(candidate, score, hour, share, 1.0)
        n, clicks = hour.sum(axis=(1, 2)), (hour * score).sum(axis=(1, 2))
        mean, v = clicks / n, np.full(1, share * (1 - share))
        first = self.before[0, rows] == 0
        known = np.where(first, mean, self.before[1, rows] / np.maximum(self.before[0, rows], 1))
        scale = betting.bet_scale(known, known * (1 - known), 1.0)[:, None, None]
        for k, effect in enumerate(betting.HARM_EFFECTS):
            self.harm[k, rows] += (hour * betting.increments(xi, v, scale, effect, 0.0, harm=True)).sum(axis=(1, 2))
        for m, margin in enumerate(self.margins):
            delta = -margin * mean[:, None, None]
            for k, effect in enumerate(betting.GAIN_EFFECTS):
                steps = betting.increments(xi, v, scale, effect, delta, harm=False)
                self.gain[m, k, rows] += (hour * steps).sum(axis=(1, 2))
        self.latest[:, rows] = (hour * xi).sum(axis=(1, 2)), (hour * xi**2).sum(axis=(1, 2)), v * n * mean
        self.gained[rows] += self.latest[0, rows]
        self.before[:, rows] += n, clicks
        self.count[rows] = 0.0


class KnownRuns:
    """All evidence of R rollouts. `before`: as it was before there were seasons, and late rewards went unseen."""

    def __init__(self, runs: int, spec: RolloutSpec, *, before: bool) -> None:
        self.spec, self.before = spec, before
        bare = spec.model_copy(update={"margins": ()})
        self.now = Wealth(runs, spec if before else bare)  # every look, as the rewards count
        self.swung = Wealth(runs, bare, swing=spec.swing)
        self.honest = Wealth(runs, bare, swing=0.0 if before else spec.swing)  # late rewards counted
        self.whole, self.whole_honest = WholeSeasons(runs, spec), WholeSeasons(runs, bare)
        self.late = np.zeros((2, 2, runs))  # rewarded and late, of the candidate's and the champion's

    def add(self, hour: Hour, at: int, share: F64, rows: I64) -> None:
        """Adds an hour of the rollouts `rows`, the `at`-th of their season."""
        candidate, score = sides(hour.count.shape)
        look = LookRows(candidate=candidate, score=score, count=hour.count)
        self.now.add(look, share, rows)
        self.late[:, :, rows] += np.stack([hour.rewarded, hour.late])
        if self.before:
            return
        self.swung.add(look, share, rows)
        self.honest.add(LookRows(candidate=candidate, score=score, count=hour.whole), share, rows)
        for whole, count in ((self.whole, hour.count), (self.whole_honest, hour.whole)):
            whole.count[rows, at] += count
            if at == HOURS - 1:
                whole.end(rows, share)

    def uneven(self) -> Bool:
        """True for each rollout whose rewards are shown to be late more often for one role."""
        (n1, n0), (k1, k0) = self.late
        if self.before or not self.late[1].any():
            return np.zeros(len(n1), np.bool_)
        return np.asarray(lateness.log_e(k1, n1, k0, n0) >= np.log(1 / lateness.ALPHA))

    def harmful(self, uneven: Bool) -> Bool:
        """True for each rollout that is shown to do harm; where rewards are `uneven`, with late ones counted."""
        if self.before:
            return self.now.harmful()
        once, whole = seasons.levels(self.spec.alpha_harm)
        at_once = np.where(uneven, betting.mix(self.honest.harm), betting.mix(self.swung.harm))
        over = np.where(uneven, betting.mix(self.whole_honest.harm), betting.mix(self.whole.harm))
        return np.asarray((at_once >= once) | (over >= whole))

    def safe(self, margin: F64) -> Bool:
        """True for each rollout (R,) shown to be safe at its own margin."""
        if self.before:
            return self.now.safe(margin)
        shown = np.stack([betting.mix(gain) >= np.log(1 / self.spec.alpha) for gain in self.whole.gain])
        return np.asarray(shown[np.searchsorted(self.whole.margins, margin), np.arange(len(margin))])

    def latest(self, margin: F64) -> Bool:
        """True for each rollout whose latest season alone agrees."""
        gain, squares, all_of_it = self.whole.latest
        return np.asarray(seasons.above(gain, squares, margin * all_of_it) >= seasons.AGREES) | self.before

    def suspected(self) -> Bool:
        """True for each rollout in which hours look like harm, and whole seasons do not say otherwise."""
        return self.now.harmful() & (self.whole.gained <= 0) & (not self.before)
