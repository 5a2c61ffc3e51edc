"""The training of a wide network by several processes at once: `fit`, the same function, in each of them.

Examples are written once, into a folder that all processes see, and each reads them in the same order. So the steps are
those of one process at the same mini-batches, but for the order in which float32 gradients are added. A process that
dies takes the others with it; they are started again (Engine.together) and go on from the latest epoch's checkpoint.

The loop needs 16 bytes a weight in each process (weights, gradient, Adam's two memories). What does not fit so, and
would ask for shards of the weights (FSDP), is not built: at 10⁸ weights these are 1.6 GB.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from safetensors.numpy import load_file, save_file

from croupier.features.batch import F32, I64, Interactions
from croupier.features.engines.engine import Engine
from croupier.features.store import layout
from croupier.models.bayesian.networks.layers import arrays_of
from croupier.models.bayesian.networks.network import Examples, Network, Training, fit
from croupier.models.bayesian.networks.share import Share

START, END, CHECKPOINT = (f"{name}{layout.CHECKPOINT}" for name in ("start", "end", "at"))  # files of a training
EXAMPLES, ERRORS = "examples", "errors"


@dataclass(frozen=True, kw_only=True)
class ExampleRows:
    """Examples of a chunk: inputs `x` (n, d), targets `y` (n,), `weight` (n,), and which `output` (n,) each is of."""

    x: F32
    y: F32
    weight: F32
    output: I64

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: slice) -> Self:
        return type(self)(x=self.x[rows], y=self.y[rows], weight=self.weight[rows], output=self.output[rows])

    def examples(self) -> tuple[F32, F32, I64]:
        """As `fit` asks for them."""
        return self.x, self.y, self.output


@dataclass(frozen=True)
class ExampleFiles:
    """The examples of a log in a folder, one file a chunk, which may be read several times."""

    folder: Path

    @classmethod
    def written(cls, folder: Path, log: Iterable[Interactions], examples: Examples) -> Self:
        """Writes the examples of a log."""
        folder.mkdir(parents=True, exist_ok=True)
        for i, chunk in enumerate(log):
            x, y, output = (np.ascontiguousarray(array) for array in examples(chunk))
            arrays = {"x": x, "y": y, "weight": chunk.weight.astype(np.float32), "output": output}
            save_file(arrays, folder / f"{i:06d}{layout.CHECKPOINT}")
        return cls(folder)

    def __iter__(self) -> Iterator[ExampleRows]:
        for path in sorted(self.folder.iterdir()):
            yield ExampleRows(**load_file(path))


def fit_together(
    network: Network,
    log: Iterable[Interactions],
    examples: Examples,
    *,
    engine: Engine,
    workers: int,
    checkpoint: Path | None,
    seed: tuple[int, ...],
    **how: Any,
) -> list[float]:
    """Trains `network` as `fit` does, in `workers` processes of the engine. `checkpoint` names where the training is
    kept and gone on from, in a folder that all processes see; None: a folder of this machine. `how`: `rows` and `how`
    of `fit`. Raises RuntimeError where the processes fail for good."""
    with _kept(checkpoint) as folder:
        save_file(arrays_of(network.state_dict()), folder / START)
        ExampleFiles.written(folder / EXAMPLES, log, examples)
        job = {
            "folder": str(folder.absolute()), "sizes": list(network.sizes), "outputs": network.out.out_features,
            "hidden": [layer.out_features for layer in network.layers], "dropout": network.dropout, "seed": list(seed),
            "rows": how["rows"], "how": asdict(how["how"]),
        }  # fmt: skip
        engine.together(train_share, job, workers=workers, folder=folder)
        found = load_file(folder / END)
    errors: list[float] = found.pop(ERRORS).tolist()
    network.take(found)
    return errors


def train_share(job: dict[str, Any]) -> None:
    """What each process does: `fit` with its share of every mini-batch; the first writes what all have come to. Raises
    ValueError where this machine does not see the folder."""
    folder = Path(job["folder"])
    if not (folder / START).exists():
        raise ValueError(
            f"{folder}: found no examples on this machine, expected a folder that all machines of the cluster see; "
            "name one by `checkpoint` in [policies.parameters.neural_linear]"
        )
    if (folder / END).exists():  # all was done when the processes died
        return
    share = Share.joined()
    network = Network.starting(
        tuple(job["sizes"]),
        tuple(job["hidden"]),
        job["outputs"],
        seed=0,
        dropout=job["dropout"],
        state=load_file(folder / START),
        device="cpu",
    )
    errors = fit(
        network,
        ExampleFiles(folder / EXAMPLES),
        ExampleRows.examples,
        rows=job["rows"],
        how=Training(**job["how"]),
        device="cpu",
        seed=tuple(job["seed"]),
        checkpoint=folder / CHECKPOINT,
        share=share,
    )
    if share.first:
        save_file(arrays_of(network.state_dict()) | {ERRORS: np.array(errors)}, folder / f"{END}.draft")
        (folder / f"{END}.draft").replace(folder / END)


@contextmanager
def _kept(checkpoint: Path | None) -> Iterator[Path]:
    """The folder of a training, gone once it has ended; one that died leaves it where `checkpoint` says."""
    if checkpoint is None:
        with tempfile.TemporaryDirectory(prefix="croupier-workers-") as folder:
            yield Path(folder)
        return
    checkpoint.mkdir(parents=True, exist_ok=True)
    yield checkpoint
    shutil.rmtree(checkpoint)
