"""Which engine the setting CROUPIER_ENGINE asks for."""

import importlib
from collections.abc import Callable
from typing import Any

from croupier.features.engines.engine import Engine, LocalEngine, Results
from croupier.features.settings import Settings

RAY = "croupier.features.engines.ray_engine"


def engine_of(settings: Settings, results: Results | None = None) -> Engine:
    """Returns the engine that `settings` asks for. Raises ValueError where it is Ray's and Ray is not installed."""
    if settings.engine == "local":
        return LocalEngine(results)
    try:
        made: Callable[..., Any] = importlib.import_module(RAY).RayEngine
    except ModuleNotFoundError as error:
        raise ValueError(
            f"CROUPIER_ENGINE: found 'ray', but {error.name} is not installed here; run `pip install 'croupier[ray]'`, "
            "or leave CROUPIER_ENGINE at 'local'"
        ) from None
    engine: Engine = made(address=settings.ray, results=results)
    return engine
