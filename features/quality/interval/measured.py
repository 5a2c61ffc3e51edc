"""Numbers about an interval as a whole, each with its rule: the account, features against the encoder's training
window, arms against the catalogue, the candidate's share against the stage, and the propensity audit."""

from collections.abc import Collection, Iterator
from math import log

import polars as pl

from croupier.features.encoding.encoder import Encoder
from croupier.features.interactions.account import Account
from croupier.features.quality.audit import ALPHA, Audit
from croupier.features.quality.interval.measure import Measure, at_least, at_most
from croupier.features.quality.interval.offered_arms import OfferedArms
from croupier.features.quality.interval.seen_features import SeenFeatures
from croupier.features.quality.interval.served_shares import ServedShares

MALFORMED = 0.05


class Measured:
    """What an interval comes to, added up part by part."""

    def __init__(
        self, *, account: Account | None = None, encoder: Encoder | None = None, arms: Collection[str] | None = None
    ) -> None:
        """What the interval is held against; whatever is None is not looked at. `arms`: those of the catalogue that
        the releases in use know."""
        self._rows, self._account, self._shares = 0, account, ServedShares()
        self._features = None if encoder is None else SeenFeatures(encoder)
        self._arms = OfferedArms(arms) if arms else None

    def add(self, df: pl.DataFrame) -> None:
        """Adds some more interactions."""
        self._rows += len(df)
        if self._features is not None:
            self._features.add(df, inline_arms=self._arms is None)
        if self._arms is not None:
            self._arms.add(df)
        self._shares.add(df)

    def measures(self, audit: Audit) -> list[Measure]:
        """Returns all measures that have something to look at. `audit`: the evidence so far, this interval's
        included."""
        out = [at_least("interactions", float(self._rows), 1.0, "the interval is not empty", "critical")]
        if self._account:
            out += _of_account(self._account)
        if self._rows and self._features is not None:
            out += self._features.measures()
        if self._rows and self._arms is not None:
            out += self._arms.measures()
        return [*out, *self._shares.measures(), *_audits(audit)]


def _of_account(account: Account) -> list[Measure]:
    malformed = account.refused / max(account.rewards_in, 1)
    unbalanced = float(not account.balanced)
    return [
        at_most("account_balances", unbalanced, 0.0, "events in = events accounted for", "critical"),
        at_most("malformed_share", malformed, MALFORMED, "few rewards were refused on receipt"),
    ]


def _audits(audit: Audit) -> Iterator[Measure]:
    for group, found in audit.items():
        says = f"arms drawn from the logged pmf ({found.n:,} rows; nats of evidence against, best fit: {found.suspect})"
        yield at_most(f"propensity_audit {group}", found.log_e, log(1 / ALPHA), says, "critical")
