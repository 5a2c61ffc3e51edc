"""What Vowpal Wabbit learns and this project serves: a bilinear form of context and arm, and what both must know."""

from dataclasses import dataclass

from croupier.features.batch import F64, Batch
from croupier.models.vw import regcb

BOUND = 1e6  # features beyond ±BOUND are clipped, in training and in service: VW's float32 squares overflow


@dataclass(frozen=True, kw_only=True, eq=False)
class Bilinear:
    """Costs as tensors, by m members (one, but for a bag): `bias` (m,), `w_u` (m, d_u), `w_x` (m, d_x), `W`
    (m, d_u, d_x), x being [arm; pair]. `steps` counts the examples ever learnt; `model` is VW's own file, to go on
    from; `rates` are there for RegCB."""

    bias: F64
    w_u: F64
    w_x: F64
    W: F64
    steps: int
    model: bytes
    rates: regcb.Rates | None = None

    def check(self, batch: Batch) -> None:
        """Raises ValueError for a batch of other columns than those that were learnt."""
        d_u, d_x = batch.context.shape[1], batch.catalogue.features.shape[1] + batch.pair.shape[2]
        if (d_u, d_x) != self.W.shape[1:]:
            raise ValueError(
                f"batch: found {d_u} context and {d_x} arm + pair features, expected {self.W.shape[1:]} "
                "as in training; serve with the encoder of the release"
            )
