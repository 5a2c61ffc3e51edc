"""A policy that was trained on an earlier encoder's columns, served and judged from those of one that has grown.

Its pmf, its φ and what it learns are those of the policy itself on the earlier columns, bit for bit; everything else
is the policy's own. It is kept as the policy is, with one file more, so that its family stays what it was.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self, cast
from weakref import WeakKeyDictionary

import orjson

from croupier.features.batch import F64, Batch, Catalogue, Interactions
from croupier.features.encoding.earlier_columns import EarlierColumns
from croupier.features.encoding.encoder import Encoder
from croupier.features.store import layout
from croupier.models.policy import Among, Policy, among
from croupier.models.policy import load as load_policy

READ_NO_FEATURES = frozenset({"uniform", "fixed_arm", "beta_bernoulli"})
_AS_THEY_ARE = frozenset(
    {"parameters", "inline_arms", "sizes", "heads", "head", "standardise", "reward_mean", "reward_sd", "seed", "device"}
)
_OF_BATCHES = frozenset({"features", "phi", "check", "within"})
_WITH = frozenset({"with_head", "with_heads"})  # return another policy
_ALSO = frozenset({"features", "update", "phi", "check", "within"})  # read columns


class ReadsEarlier:
    """`policy`, which reads what `columns` make of a batch."""

    def __init__(self, policy: Policy, columns: EarlierColumns) -> None:
        self.policy, self.columns = policy, columns
        self.name = policy.name
        self._seen: WeakKeyDictionary[Catalogue, Catalogue] = WeakKeyDictionary()

    def pmf(self, batch: Batch) -> F64:
        """Returns the policy's pmf on the earlier columns, (B, K)."""
        return self.policy.pmf(self._earlier(batch))

    def scored(self, batch: Batch) -> Among:
        """See models/policy.py: the policy's, on the earlier columns."""
        return among(self.policy, self._earlier(batch))

    def learn(self, log: Iterable[Interactions], *, seed: int = 0) -> Self:
        """Returns the policy as it learns the log's earlier columns."""
        return self._with(self.policy.learn([self.columns.interactions(chunk) for chunk in log], seed=seed))

    def save(self, folder: Path) -> None:
        """Writes the policy, and beside it which columns it reads."""
        self.policy.save(folder)
        (folder / layout.EARLIER_COLUMNS).write_bytes(orjson.dumps(self.columns.to_json()))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads from `folder` what `save` wrote."""
        return cls(load_policy(folder, whole=False), read_columns(folder))

    def __getattr__(self, name: str) -> Any:
        """What a policy with a head has beside; no more than this policy has."""
        if name in _AS_THEY_ARE:
            return getattr(self.policy, name)
        if name in _WITH:
            other = getattr(self.policy, name)
            return lambda head: self._with(other(head))
        if name in _ALSO and hasattr(self.policy, name):
            if name in _OF_BATCHES:
                return lambda batch, *more: getattr(self.policy, name)(self._earlier(batch), *more)
            return self._update
        raise AttributeError(f"{type(self).__name__} of {self.__dict__.get('name')}: {name}")

    def _update(self, log: Iterable[Interactions]) -> Self:
        return self._with(cast("Any", self.policy).update(map(self.columns.interactions, log)))

    def _with(self, policy: Policy) -> Self:
        return type(self)(policy, self.columns)

    def _earlier(self, batch: Batch) -> Batch:
        return self.columns.batch(batch, self._catalogue(batch.catalogue))

    def _catalogue(self, catalogue: Catalogue) -> Catalogue:
        seen = self._seen.get(catalogue)
        if seen is None:
            published = None if catalogue.published is None else self._catalogue(catalogue.published)
            self._seen[catalogue] = seen = self.columns.catalogue(catalogue, published)
        return seen


def read_columns(folder: Path) -> EarlierColumns:
    """Which columns the policy in `folder` reads."""
    return EarlierColumns.from_json(orjson.loads((folder / layout.EARLIER_COLUMNS).read_bytes()))


def reading(policy: Policy, now: Encoder, before: Encoder) -> Policy:
    """The policy of encoder `before`, reading what `now` writes. Raises ValueError where `now` has not grown out of
    `before`: then no columns of it are those that the policy was trained on."""
    if policy.name in READ_NO_FEATURES or now.digest == before.digest:
        return policy
    columns = EarlierColumns.between(now, before)
    if not isinstance(policy, ReadsEarlier):
        return ReadsEarlier(policy, columns)
    inner = policy.columns  # it already read an earlier one's: the sum of sums
    blocks = {name: _through(getattr(inner, name), getattr(columns, name)) for name in ("context", "arm", "pair")}
    return ReadsEarlier(policy.policy, EarlierColumns(now=columns.now, before=inner.before, **blocks))


def _through(inner: list[list[int]], outer: list[list[int]]) -> list[list[int]]:
    return [sorted(k for j in group for k in outer[j]) for group in inner]
