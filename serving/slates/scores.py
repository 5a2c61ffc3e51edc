"""The scores of one batch of slates: each policy makes its own once, whatever slot asks."""

from dataclasses import replace

from croupier.features.batch import F64, Batch, Left
from croupier.models.policy import Among, Policy, among
from croupier.serving.decide.scoring import Ask


class Scores:
    """What each policy makes of a `batch` with all candidates, whose prices are those of what is left; one that takes
    over from a failed one scores anew."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch if batch.price is None else replace(batch, price=None)
        self._made = list[tuple[Policy, Among]]()

    def over(self, left: Left) -> Ask:
        """Returns what gives a policy's pmf over what is left."""

        def ask(policy: Policy, batch: Batch) -> F64:  # noqa: ARG001 - it is `left` of the batch that was scored
            return self._of(policy)(left)

        return ask

    def _of(self, policy: Policy) -> Among:
        for known, found in self._made:
            if known is policy:
                return found
        made = among(policy, self.batch)
        self._made.append((policy, made))
        return made
