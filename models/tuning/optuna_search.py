"""Search by a model of what was tried before, by Optuna, which is an extra: `pip install 'croupier[tune]'`.

The only file that imports optuna. Of one policy a Gaussian process over its parameters proposes, by expected
improvement (Jones, Schonlau & Welch 1998; its logarithm: Ament et al. 2023). Of several it does not fit, since each
policy has parameters of its own: there tree-structured Parzen estimators propose (Bergstra et al. 2011).
"""

from collections.abc import Callable, Sequence
from typing import Any

from croupier.models.tuning.configuration import Configuration
from croupier.models.tuning.spaces import SPACES, OneOf, Rate, in_three_digits

AT_ONCE = 3  # trials that are proposed together, and so computed at once where the engine can
Judge = Callable[[Sequence[Configuration]], list[dict[str, Any]]]  # configurations → their trials


class ModelSearch:
    """Proposes configurations of these policies, each of which has a space, and learns from their trials."""

    def __init__(self, policies: Sequence[str], count: int, *, seed: int) -> None:
        """`count`: of trials in all; a third of them is at random. Raises ValueError where Optuna is not installed."""
        try:
            import optuna
        except ModuleNotFoundError as error:
            raise ValueError(
                f"search: found 'gp', but {error.name} is not installed here; run `pip install 'croupier[tune]'`, or "
                "search by halving"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        random = max(AT_ONCE, count // 3)
        common = {"seed": seed, "n_startup_trials": random}
        if len(policies) == 1:
            sampler = optuna.samplers.GPSampler(**common, warn_independent_sampling=False)
        else:
            sampler = optuna.samplers.TPESampler(**common)
        self.study = optuna.create_study(direction="maximize", sampler=sampler)
        self.failed, self.policies, self.count = optuna.trial.TrialState.FAIL, list(policies), count

    def run(self, judge: Judge) -> list[tuple[Configuration, dict[str, Any]]]:
        """Returns each configuration and its trial, in the order that they were proposed."""
        found = list[tuple[Configuration, dict[str, Any]]]()
        while len(found) < self.count:
            asked = [self.study.ask() for _ in range(min(AT_ONCE, self.count - len(found)))]
            proposed = [self._configuration(each) for each in asked]
            told = judge(proposed)
            for trial, each in sorted(zip(asked, told, strict=True), key=lambda pair: "value" not in pair[1]):
                self._tell(trial, each)  # those that failed last: by then there is what they are worse than
            found += zip(proposed, told, strict=True)
        return found

    def _tell(self, trial: Any, told: dict[str, Any]) -> None:
        """What failed counts as worse than all that was seen, by as much as the best is better than the worst: Optuna
        leaves out a trial without a number, and would propose its like again."""
        seen = [each.value for each in self.study.trials if each.value is not None]
        if "value" in told:
            self.study.tell(trial, told["value"])
        elif seen:
            self.study.tell(trial, min(seen) - max(max(seen) - min(seen), abs(min(seen))))
        else:
            self.study.tell(trial, state=self.failed)

    def _configuration(self, trial: Any) -> Configuration:
        policy = self.policies[0]
        if len(self.policies) > 1:
            policy = trial.suggest_categorical("policy", self.policies)
        space = SPACES[policy].items()
        return Configuration(policy, {name: _suggested(trial, f"{policy} {name}", each) for name, each in space})


def _suggested(trial: Any, name: str, space: OneOf | Rate) -> Any:
    if isinstance(space, Rate):
        return in_three_digits(trial.suggest_float(name, space.low, space.high, log=True))
    return space.values[trial.suggest_categorical(name, list(range(len(space.values))))]
