"""What the instances of `reward` and `record` are: rewards and clients' own decisions into this host's log."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from croupier.features.batch import Catalogue
from croupier.features.encoding.encoder import Encoder
from croupier.features.log.spool import Spool
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store.unit_key import unit_key
from croupier.serving.contract.requests import Request, scope_of
from croupier.serving.contract.rewards import Outcome, RawReward
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.records import RawRecord, Records
from croupier.serving.decide.rewards import Rewards
from croupier.serving.learning.window_closer import WindowCloser
from croupier.serving.release import bundle
from croupier.serving.triton import repository, wire
from croupier.serving.triton.declaration import Declaration
from croupier.serving.triton.json_logs import log_as_json
from croupier.serving.triton.metrics_exporter import Exporter
from croupier.serving.triton.repository import SELECT_ARM
from croupier.serving.triton.wire import Columns, Tensors

log = logging.getLogger(__name__)


class TakeRewards:
    """The instance of `reward`: the only writer of the posterior."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        home = Path(args["model_repository"]).parents[1]
        self.spool = wire.open_spool(home, Settings())
        self.meter = Meter()
        learn = _learner(home, self.spool, self.meter)
        self.rewards = Rewards(self.spool, declared=Declaration(home), learn=learn)
        self.closer = WindowCloser(learn) if learn is not None else None
        self.exporter = Exporter(pb, self.meter, self.spool)

    def answer(self, calls: Sequence[Columns]) -> list[Tensors]:
        """Answers calls: what became of each reward."""
        found = (row for call in calls for row in wire.rows(call, wire.REWARD_INPUTS))
        raws = [RawReward(event, kind, float(value), unique, int(at or 0)) for event, kind, value, unique, at in found]
        outcomes = self.rewards.take(raws)
        count(self.meter, "reward", "croupier_rewards_total", outcomes)
        return wire.outcome_tensors(outcomes, [wire.size_of(call) for call in calls])

    def close(self) -> None:
        """Ends the learner, pushes the last counts and closes the log."""
        if self.closer is not None:
            self.closer.close()
        self.exporter.close()
        self.spool.close()


class TakeRecords:
    """The instance of `record`: what clients decided while nobody answered."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        home, settings = Path(args["model_repository"]).parents[1], Settings()
        self.spool = wire.open_spool(home, settings)
        guard = CatalogueGuard(home / "triton" / SELECT_ARM)
        self.meter = Meter()
        self.exporter = Exporter(pb, self.meter)
        self.records = Records(self.spool, unit_key=unit_key(settings, home), guard=guard, declared=Declaration(home))

    def answer(self, calls: Sequence[Columns]) -> list[Tensors]:
        """Answers calls: what became of each record."""
        raws = [RawRecord(*row) for call in calls for row in wire.rows(call, wire.RECORD_INPUTS)]
        outcomes = self.records.take(raws)
        count(self.meter, "record", "croupier_records_total", outcomes)
        return wire.outcome_tensors(outcomes, [wire.size_of(call) for call in calls])

    def close(self) -> None:
        """Pushes the last counts and closes the log."""
        self.exporter.close()
        self.spool.close()


class CatalogueGuard:
    """Features and arms of a record, against the newest release in the repository (none: anything goes)."""

    def __init__(self, model: Path) -> None:
        self._model, self._number = model, 0
        self._encoder: Encoder | None = None
        self._catalogue: Catalogue | None = None

    def __call__(self, request: Request) -> None:
        newest = max(repository.versions(self._model.parent, self._model.name), default=0)
        if newest and newest != self._number:  # one that Triton could not load is taken out again
            self._encoder, arms = bundle.features_of(self._model / str(newest))
            self._number, self._catalogue = newest, self._encoder.catalogue(arms)
        if self._encoder is not None:
            self._encoder.validate(request.context, request.arms, request.arm_context, self._catalogue)


def count(meter: Meter, model: str, name: str, outcomes: Sequence[Outcome]) -> None:
    """Counts outcomes by fate under `name`, and refusals by field and reason."""
    for outcome in outcomes:
        meter.count(name, fate=outcome.status)
        if outcome.error:
            meter.count("croupier_rejects_total", model=model, field=scope_of(outcome.error))
        if outcome.reason:
            meter.count("croupier_not_admitted_total", model=model, reason=outcome.reason)


def _learner(home: Path, spool: Spool, meter: Meter) -> Callable[[], object] | None:
    """The fast loop of the newest release, if the app asks for it."""
    spec = AppSpec.read(home / "app.toml") if (home / "app.toml").exists() else AppSpec()
    if not spec.policies.fast_loop:
        return None
    from croupier.serving.learning.fast_loop import FastLoop  # the learners' libraries, for apps that learn here

    loops: dict[int, FastLoop] = {}
    turn = threading.Lock()  # rewards come in one thread, windows close in another

    def learn() -> None:
        try:
            with turn:
                look()
        except Exception:  # the reward is on record: what could not be learnt now is learnt by the next call
            log.exception("the fast loop failed")

    def look() -> None:
        newest = max(repository.versions(home / "triton", SELECT_ARM), default=0)
        if newest and newest not in loops:
            loops.clear()
            loaded = bundle.load(home / "triton" / SELECT_ARM / str(newest))
            loops[newest] = FastLoop(home / wire.HEADS, loaded, spool, spec.reward)
        for loop in loops.values():
            loop.learn()
            loop.close_windows()
            for role, step in loop.positions():
                meter.gauge("croupier_posterior_step", step, role=role)

    learn()
    return learn
