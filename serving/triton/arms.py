"""What an instance of `select_arm` is: a selector over one release, with this host's log, rollout, breaker, heads."""

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from croupier.features.settings import Settings
from croupier.features.store import layout
from croupier.features.store.unit_key import unit_key
from croupier.serving.allocation.desk import AllocationDesk
from croupier.serving.contract.allocations import RawAllocate
from croupier.serving.contract.requests import Raw
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.selector import Selector
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release import bundle, signature
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.triton.declaration import Declaration
from croupier.serving.triton.json_logs import log_as_json
from croupier.serving.triton.metrics_exporter import Exporter
from croupier.serving.triton.wire import (
    ALLOCATE_INPUTS,
    SELECT_INPUTS,
    CallColumns,
    Tensors,
    allocation_tensors,
    open_spool,
    rows,
    selection_tensors,
    size_of,
)


class SelectArm:
    """One instance of one version of `select_arm`; `args` are those of Triton's initialize(), `pb` its utilities."""

    def __init__(self, args: Mapping[str, str], pb: Any = None) -> None:
        log_as_json()
        meter = Meter()
        model = Path(args["model_repository"])
        home, trial = model.parents[1], args["model_name"].endswith("_trial")
        settings = Settings()
        signature.check(model / args["model_version"], app=home.name, keys=signature.Keys.of(settings))
        self.spool = None if trial else open_spool(home, settings)
        loaded = bundle.load(model / args["model_version"])
        self.selector = Selector(
            loaded,
            recorder=self.spool,
            rollout=None if trial else RolloutReader(home / layout.ROLLOUT_MIRROR),
            unit_key=unit_key(settings, home),
            breaker=CandidateBreaker(None if trial else home / layout.BREAKER, patience_ms=settings.patience_ms),
            heads=LiveHeads(None if trial else home / layout.HEADS, loaded),
            meter=meter,
            declared=Declaration(home),
        )
        self.selector.warm()
        self.allocations = AllocationDesk(self.selector)
        self.exporter = Exporter(None if trial else pb, meter)

    def answer(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        """All calls of one Triton batch as one batch of the selector: one encoding, one product, one transaction. Those
        to allocate are answered one by one."""
        plain = [call for call in calls if call.get("allocate") is None]
        selected = iter(self._selected(plain) if plain else ())
        return [next(selected) if call.get("allocate") is None else self._allocated(call) for call in calls]

    def _selected(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        sizes = [size_of(call) for call in calls]
        raws = [Raw(*row) for call in calls for row in rows(call, SELECT_INPUTS[:-1])]
        answers = iter(self.selector.select_raw(raws))
        return [selection_tensors(list(islice(answers, size))) for size in sizes]

    def _allocated(self, call: CallColumns) -> Tensors:
        return allocation_tensors(self.allocations.allocate([RawAllocate(*row) for row in rows(call, ALLOCATE_INPUTS)]))

    def close(self) -> None:
        """Pushes the last counts and closes the log."""
        self.exporter.close()
        if self.spool is not None:
            self.spool.close()
