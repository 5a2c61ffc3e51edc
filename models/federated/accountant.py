"""ε by dp-accounting, the library of Google's differential privacy team. The only file that knows it, an extra:
`pip install 'croupier[privacy]'`."""

from importlib.metadata import version


def stated(multiplier: float, delta: float, *, times: int = 1) -> tuple[float, str]:
    """Returns ε at δ of `times` Gaussian mechanisms with noise of `multiplier` times the sensitivity, by their privacy
    loss distribution, and who says so. Raises ValueError where the library is not installed."""
    try:
        from dp_accounting import dp_event
        from dp_accounting.pld import PLDAccountant
    except ModuleNotFoundError as error:
        raise ValueError(
            f"privacy: found no {error.name} here, which says what noise is worth; run `pip install "
            "'croupier[privacy]'`, or write the sums without noise"
        ) from None
    accountant = PLDAccountant()
    accountant.compose(dp_event.GaussianDpEvent(multiplier), times)
    return float(accountant.get_epsilon(delta)), f"dp-accounting {version('dp-accounting')}, privacy loss distribution"
