"""One thread for what is small: it gains nothing from more, and sums in one order give the same bytes everywhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


@cache
def _pools() -> Any:
    """Found once: looking for the libraries takes longer than a small training."""
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # of scikit-learn, without types

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS has one thread here; so has torch, where it is loaded by now."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    if torch:
        torch.set_num_threads(1)
    try:
        with _pools().limit(limits=1, user_api="blas"):
            yield
    finally:
        if torch:
            torch.set_num_threads(before)
