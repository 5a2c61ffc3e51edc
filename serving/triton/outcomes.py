"""What the instances of `reward` and `record` are: rewards and clients' own decisions into this host's log."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croupier.features.batch import Catalogue
from croupier.features.declared.pricing import PricingSpec
from croupier.features.encoding import inline
from croupier.features.encoding.encoder import Encoder
from croupier.features.encoding.undeclared import Undeclared
from croupier.features.log.spool import Spool
from croupier.features.pricing.prices import Prices
from croupier.features.schema import FROM_CATALOGUE, Decision
from croupier.features.settings import Settings
from croupier.features.spec import AppSpec
from croupier.features.store import layout
from croupier.features.store.unit_key import unit_key
from croupier.serving.contract.inline_arms import check_source
from croupier.serving.contract.requests import Request, scope_of
from croupier.serving.contract.rewards import Outcome, RawReward
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.offered import as_declared
from croupier.serving.decide.records import RawRecord, Records
from croupier.serving.decide.rewards import Rewards
from croupier.serving.learning.window_closer import WindowCloser
from croupier.serving.release import arm_source, bundle
from croupier.serving.release.safeguards import Safeguards
from croupier.serving.triton import repository, wire
from croupier.serving.triton.declaration import Declaration
from croupier.serving.triton.json_logs import log_as_json
from croupier.serving.triton.metrics_exporter import Exporter
from croupier.serving.triton.repository import SELECT_ARM
from croupier.serving.triton.wire import CallColumns, Tensors

if TYPE_CHECKING:
    from croupier.serving.fleet.member import FleetMember
    from croupier.serving.learning.head_writer import HeadWriter


class TakeRewards:
    """The instance of `reward`: the only writer of the posterior."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        home = Path(args["model_repository"]).parents[1]
        settings = Settings()
        self.spool = wire.open_spool(home, settings)
        self.meter, of_fleet = Meter(), bool(settings.redis.get_secret_value())
        learn = self._writer = _learner(home, self.spool, self.meter)
        self.rewards = Rewards(self.spool, declared=Declaration(home), learn=learn, of_fleet=of_fleet)
        self.fleet = _member(home, self.spool, learn, self.meter) if learn is not None else None
        self.closers = [WindowCloser(learn)] if learn is not None else []
        if self.fleet is not None:
            self.closers.append(WindowCloser(self.fleet.look))
        self.exporter = Exporter(pb, self.meter, self.spool)

    def answer(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        """Answers calls: what became of each reward."""
        found = (row for call in calls for row in wire.rows(call, wire.REWARD_INPUTS))
        raws = [RawReward(event, kind, float(value), unique, int(at or 0)) for event, kind, value, unique, at in found]
        outcomes = self.rewards.take(raws)
        count(self.meter, "reward", "croupier_rewards_total", outcomes)
        return wire.outcome_tensors(outcomes, [wire.size_of(call) for call in calls])

    def close(self) -> None:
        """Ends the learner, pushes the last counts and closes the log."""
        for closer in self.closers:
            closer.close()
        if self.fleet is not None:
            self.fleet.close()
        if self._writer is not None:
            self._writer.close()
        self.exporter.close()
        self.spool.close()


class TakeRecords:
    """The instance of `record`: what clients decided while nobody answered."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        home, settings = Path(args["model_repository"]).parents[1], Settings()
        self.spool = wire.open_spool(home, settings)
        guard = CatalogueGuard(home / layout.SERVED)
        self.meter = Meter()
        self.exporter = Exporter(pb, self.meter)
        self.records = Records(
            self.spool, unit_key=unit_key(settings, home), guard=guard, margin=guard.margin, declared=Declaration(home)
        )

    def answer(self, calls: Sequence[CallColumns]) -> list[Tensors]:
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
        self._source, self._prices = FROM_CATALOGUE, Prices(PricingSpec())

    def __call__(self, request: Request, undeclared: Undeclared) -> Request:
        """The request with its features as they are declared. Raises InvalidEvent naming the field."""
        newest = max(repository.versions(self._model.parent, self._model.name), default=0)
        if newest and newest != self._number:  # one that Triton could not load is taken out again
            folder = self._model / str(newest)
            self._encoder, arms = bundle.features_of(folder)
            self._number, self._catalogue = newest, self._encoder.catalogue(arms)
            manifest = bundle.read_manifest(folder)
            self._source, self._prices = arm_source.of(manifest), Safeguards.of(manifest).prices(arms)
        if self._encoder is None:
            return request
        check_source(self._source, request.arms, request.arm_features)
        request = as_declared(self._encoder, request, undeclared)
        self._encoder.validate(
            request.context, request.arms, request.arm_context, self._catalogue, request.arm_features
        )
        inline.refuse_listed(request.arm_features, self._catalogue, request.arms)
        self._prices.refuse_missing(request)
        return request

    def margin(self, decision: Decision) -> str:
        """What a record logs of its arm, where arms are prices."""
        return self._prices.margin(decision, decision.arm)


def count(meter: Meter, model: str, name: str, outcomes: Sequence[Outcome]) -> None:
    """Counts outcomes by fate under `name`, and refusals by field and reason."""
    for outcome in outcomes:
        meter.count(name, fate=outcome.status)
        if outcome.error:
            meter.count("croupier_rejects_total", model=model, field=scope_of(outcome.error))
        if outcome.reason:
            meter.count("croupier_not_admitted_total", model=model, reason=outcome.reason)


def _member(home: Path, spool: Spool, learn: "HeadWriter", meter: Meter) -> "FleetMember | None":
    """This host as a member of a fleet, where CROUPIER_REDIS says so."""
    from croupier.serving.fleet.member import member

    spec = AppSpec.read(home / layout.APP_TOML).reward
    return member(Settings(), home, spool, learn, spec=spec, meter=meter)


def _learner(home: Path, spool: Spool, meter: Meter) -> "HeadWriter | None":
    """The fast loop of the newest release, if the app asks for it."""
    spec = AppSpec.read(home / layout.APP_TOML) if (home / layout.APP_TOML).exists() else AppSpec()
    if not spec.policies.fast_loop:
        return None
    from croupier.serving.learning.head_writer import HeadWriter  # the learners' libraries, for apps that learn here

    def newest() -> Path | None:
        number = max(repository.versions(home / layout.REPOSITORY, SELECT_ARM), default=0)
        return layout.served(home, number) if number else None

    def told(role: str, step: int) -> None:
        meter.gauge("croupier_posterior_step", step, role=role)

    learn = HeadWriter(home, spool, spec.reward, newest, told)
    learn()
    return learn
