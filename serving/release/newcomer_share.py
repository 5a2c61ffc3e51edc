"""The share of the traffic that arms get while little is known of them: part of a release, and exact in the pmf."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from croupier.features.batch import F64, Batch, Bool, Catalogue
from croupier.models.exploration import with_newcomers


@dataclass(frozen=True, kw_only=True)
class Newcomers:
    """Arms of which little is known yet, since when (UTC µs), and the `share` of traffic that they are given."""

    share: float = 0.0
    since: Mapping[str, int] = field(default_factory=dict)

    def rows(self, catalogue: Catalogue) -> Bool:
        """Returns (A,): which rows of the catalogue are new."""
        return np.array([arm in self.since for arm in catalogue.ids], dtype=np.bool_)

    def mixed(self, pmf: F64, batch: Batch, rows: Bool) -> F64:
        """Returns a served pmf (B, K) with the new arms' share mixed in; the very same array where nothing is new."""
        if not (self.share and self.since):
            return pmf
        if batch.catalogue.published is not None:  # an arm that the request brought is none of the catalogue's new ones
            rows = np.append(rows, np.zeros(len(batch.catalogue.ids) - len(rows), np.bool_))
        return with_newcomers(pmf, batch.mask, rows[batch.arm], self.share)
