"""A site in one process: selector, receipt of rewards and log, over the release and the rollout of its store.

It is the very code that Triton runs, less Triton: what a host does between two looks at the store.
"""

from collections.abc import Sequence

from croupier.features.log.admission import Admission
from croupier.features.store import layout
from croupier.features.store.storage import StoreUnavailable
from croupier.features.workspace import Workspace
from croupier.features.worlds.reels import Visit
from croupier.serving.contract.requests import Selection
from croupier.serving.contract.rewards import RawReward
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.records import Recorder
from croupier.serving.decide.rewards import Rewards
from croupier.serving.decide.selector import Selector
from croupier.serving.operate import deployment
from croupier.serving.release import bundle, bundle_store
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.simulation.month.crowd import request_of


class Site:
    """Open for as long as it is used as a context manager."""

    def __init__(self, w: Workspace) -> None:
        self.w, self.spool = w, w.spool()
        admission = Admission.of(w.spec)
        self._rewards = Rewards(self.spool, declared=lambda: admission)
        self._selector: Selector | None = None

    def __enter__(self) -> "Site":
        return self

    def __exit__(self, *_: object) -> None:
        self.spool.close()

    def select(self, visits: Sequence[Visit]) -> list[Selection]:
        """Returns one answer a visit, logged, by the current release and stage."""
        return self._current().select([request_of(visit) for visit in visits])

    def reward(self, event_ids: Sequence[str], kind: str, value: float, at: int) -> None:
        """A reward for each of these events at `at`. Raises RuntimeError if one is not accepted."""
        raws = [RawReward(event.encode(), kind.encode(), value, b"", at) for event in event_ids]
        refused = [o for o in self._rewards.take(raws) if o.status != "accepted"]
        if refused:
            raise RuntimeError(f"rewards: found {len(refused)} not accepted, first {refused[0]}, expected none")

    def _current(self) -> Selector:
        """The selector of the release that the store names now; a new one is followed at once. While the store is down,
        the one that there is goes on."""
        try:
            number = bundle_store.current(self.w.store)
        except (StoreUnavailable, OSError):
            number = None
        if number is None and self._selector is not None:
            return self._selector
        if number is None:
            raise RuntimeError("no release yet: publish the first one before the crowd comes")
        if self._selector is None or self._selector.release.number != number:
            deployment.follow(self.w.store, self.w.home, triton=None)
            loaded = bundle.load(layout.served(self.w.home, number))
            self._selector = Selector(
                loaded,
                recorder=self._recorder(),
                unit_key=self.w.unit_key,
                rollout=RolloutReader(self.w.home / layout.ROLLOUT_MIRROR, every=0.0),
                breaker=CandidateBreaker(None, patience_ms=60_000.0),  # virtual users do not wait for a busy machine
            )
        return self._selector

    def _recorder(self) -> Recorder:
        return self.spool
