"""Jobs on a Ray cluster. The only file that imports ray, which is an extra: `pip install 'croupier[ray]'`.

Ray schedules, retries and moves; nothing of ours does. A job of a machine that died is computed again on another one
(`max_retries`), an error of the job itself is not.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray

from croupier.features.engines.engine import Function, Json, Results, collected, named, plain

RETRIES = 3  # of a job whose machine, or process, died


@dataclass(frozen=True)
class RayEngine:
    """Jobs on the cluster at `address`; empty: a cluster of this machine's cores, for as long as this process lives.
    `cpus` are those that a job takes."""

    address: str = ""
    cpus: float = 1.0
    results: Results | None = None

    def map(self, function: Function, jobs: Sequence[Json], *, done: Callable[[], object] | None = None) -> list[Json]:
        """See Engine.map: all jobs at once, as many as the cluster has cores for."""
        return collected(function, jobs, self.results, self._on_cluster, done)

    def together(self, function: Function, job: Json, *, workers: int, folder: Path) -> None:
        """See Engine.together: processes anywhere on the cluster, by Ray Train, which starts them again."""
        from ray import train
        from ray.train.torch import TorchConfig, TorchTrainer

        named(function)
        self._begin()
        trainer = TorchTrainer(
            function,
            train_loop_config=plain(job, f"the job of {named(function)}"),
            torch_config=TorchConfig(backend="gloo"),
            scaling_config=train.ScalingConfig(num_workers=workers, resources_per_worker={"CPU": self.cpus}),
            run_config=train.RunConfig(
                storage_path=str(folder.absolute()), failure_config=train.FailureConfig(max_failures=RETRIES)
            ),
        )
        try:
            trainer.fit()
        except train.TrainingFailedError as error:
            raise RuntimeError(f"{named(function)}: failed on {workers} workers, restarts included: {error}") from error

    def _begin(self) -> None:
        if not ray.is_initialized():
            ray.init(address=self.address or "local", include_dashboard=False, log_to_driver=False)

    def _on_cluster(self, function: Function, jobs: dict[int, Json]) -> Iterator[tuple[int, Json]]:
        if not jobs:
            return
        self._begin()
        remote = ray.remote(num_cpus=self.cpus, max_retries=RETRIES)(function)
        running = {remote.remote(job): i for i, job in jobs.items()}
        while running:
            (ready, *_), _ = ray.wait(list(running))
            yield running.pop(ready), plain(ray.get(ready), f"{named(function)}: its result")
