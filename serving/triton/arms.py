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
from croupier.serving.contract.raw_slates import RawSlate
from croupier.serving.contract.requests import Raw
from croupier.serving.decide.candidate_breaker import CandidateBreaker
from croupier.serving.decide.meter import Meter
from croupier.serving.decide.price_reader import PriceReader
from croupier.serving.learning.live_heads import LiveHeads
from croupier.serving.release import bundle, signature
from croupier.serving.release.rollout_mirror import RolloutReader
from croupier.serving.slates.selector import SlateSelector
from croupier.serving.slates.wire_slates import slates_of
from croupier.serving.triton.declaration import Declaration
from croupier.serving.triton.json_logs import log_as_json
from croupier.serving.triton.metrics_exporter import Exporter
from croupier.serving.triton.wire import (
    ALLOCATE_INPUTS,
    SELECT_INPUTS,
    SLATE_INPUTS,
    CallColumns,
    Tensors,
    allocation_tensors,
    open_spool,
    rows,
    selection_tensors,
    size_of,
    slate_tensors,
)

OTHERS = ("whole_slate", "allocate")  # inputs that ask for more than one arm


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
        self.selector = SlateSelector(
            loaded,
            recorder=self.spool,
            rollout=None if trial else RolloutReader(home / layout.ROLLOUT_MIRROR),
            unit_key=unit_key(settings, home),
            breaker=CandidateBreaker(None if trial else home / layout.BREAKER, patience_ms=settings.patience_ms),
            heads=LiveHeads(None if trial else home / layout.HEADS, loaded),
            meter=meter,
            declared=Declaration(home),
            prices=None if trial else PriceReader(home / layout.MULTIPLIERS_MIRROR),
        )
        self.selector.warm()
        self.allocations = AllocationDesk(self.selector)
        self.exporter = Exporter(None if trial else pb, meter)

    def answer(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        """All calls of one Triton batch as one batch of the selector: one encoding, one product, one transaction. So
        are those for whole slates. Those to allocate are answered one by one."""
        kinds = [next((name for name in OTHERS if call.get(name) is not None), "") for call in calls]
        of = {kind: [call for call, each in zip(calls, kinds, strict=True) if each == kind] for kind in set(kinds)}
        ways = {"": self._selected, "whole_slate": self._slates, "allocate": self._allocated}
        found = {kind: iter(ways[kind](some)) for kind, some in of.items()}
        return [next(found[kind]) for kind in kinds]

    def _selected(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        sizes = [size_of(call) for call in calls]
        raws = [Raw(*row) for call in calls for row in rows(call, SELECT_INPUTS)]
        answers = iter(self.selector.select_raw(raws))
        return [selection_tensors(list(islice(answers, size))) for size in sizes]

    def _slates(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        sizes = [size_of(call) for call in calls]
        raws = [RawSlate(*row) for call in calls for row in rows(call, SLATE_INPUTS)]
        answers = iter(slates_of(self.selector, self.spool, raws))
        return [slate_tensors(list(islice(answers, size))) for size in sizes]

    def _allocated(self, calls: Sequence[CallColumns]) -> list[Tensors]:
        asked = [[RawAllocate(*row) for row in rows(call, ALLOCATE_INPUTS)] for call in calls]
        return [allocation_tensors(self.allocations.allocate(each)) for each in asked]

    def close(self) -> None:
        """Pushes the last counts and closes the log."""
        self.exporter.close()
        if self.spool is not None:
            self.spool.close()
