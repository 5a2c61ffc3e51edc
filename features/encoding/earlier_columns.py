"""What an earlier encoder would have written, from the columns of one that has grown out of it (grown.py).

A grown encoder knows more categories and is otherwise the same. So each column of the earlier one is a column of the
grown one, or the sum of some: its `<unk>` is the grown one's `<unk>` and all categories that came since. These count
what is unknown: one in a row at most, or so many words of a list. So the sum is exact, and a policy that was trained on
the earlier columns gives the same pmf, bit for bit, from either. Which columns these are follows from both fitted
states, and both digests travel with it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from croupier.features.batch import F32, Batch, Catalogue, Interactions
from croupier.features.encoding.columns import Columns
from croupier.features.encoding.encoder import SCOPES, Encoder
from croupier.features.encoding.fitted import Fitted
from croupier.features.encoding.profile import Profile
from croupier.features.encoding.vocabulary import WITH_WORDS

Groups = list[list[int]]  # for each earlier column, the columns that it is the sum of


@dataclass(frozen=True, kw_only=True)
class EarlierColumns:
    """`now` and `before` are the encoders' digests; the others say of each block which columns make an earlier one."""

    now: str
    before: str
    context: Groups
    arm: Groups
    pair: Groups

    @classmethod
    def between(cls, now: Encoder, before: Encoder) -> Self:
        """Raises ValueError where `now` has not grown out of `before`, naming the feature that differs."""
        names = {"context": "context", "arm": "arm", "arm_context": "pair"}
        groups = {names[scope]: _of_scope(now, before, scope) for scope in SCOPES}
        in_order = {name: [sorted(group) for group in each] for name, each in groups.items()}
        return cls(now=now.digest, before=before.digest, **in_order)

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> Self:
        """Restores what `to_json` gave."""
        return cls(**state)

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON."""
        return asdict(self)

    def batch(self, batch: Batch, catalogue: Catalogue) -> Batch:
        """Returns the batch as the earlier encoder writes it; `catalogue` is what `catalogue` made of the batch's."""
        context, pair = summed(batch.context, self.context), summed(batch.pair, self.pair)
        return replace(batch, context=context, pair=pair, catalogue=catalogue)

    def catalogue(self, catalogue: Catalogue, published: Catalogue | None = None) -> Catalogue:
        """Returns the arms as the earlier encoder writes them; `published`: what this made of the published ones that
        are in an extended catalogue, if it is known."""
        if published is None and catalogue.published is not None:
            published = self.catalogue(catalogue.published)
        return replace(catalogue, features=summed(catalogue.features, self.arm), published=published)

    def interactions(self, log: Interactions) -> Interactions:
        """Returns a log as the earlier encoder writes it."""
        return replace(log, batch=self.batch(log.batch, self.catalogue(log.batch.catalogue)))


def extends(now: Encoder, before: Encoder) -> bool:
    """True if `now` is `before`, or has grown out of it."""
    try:
        return now.digest == before.digest or bool(EarlierColumns.between(now, before))
    except ValueError:
        return False


def summed(x: F32, groups: Groups) -> F32:
    """Maps (…, d) to (…, len(groups)): the first column of each group, and the others added where there are any."""
    out = x[..., np.array([group[0] for group in groups], np.intp)]
    for j, group in enumerate(groups):
        for more in group[1:]:
            out[..., j] += x[..., more]
    return out


def _of_scope(now: Encoder, before: Encoder, scope: str) -> Groups:
    """The groups of one block: its own features, then the products that live there."""
    if now.products != before.products:
        raise ValueError("interactions: found others than before, expected the same")
    found, block = [], now.block(scope)
    for feature in before.block(scope).features:
        start = block.span[feature.name].start if feature.name in block.span else 0
        found += [[start + k for k in group] for group in _of_feature(block, feature)]
    place = len(block.names)
    for first, a, second, b in now.products[scope]:
        left, right = (_named(before, at, name) for at, name in ((first, a), (second, b)))
        width = len(_feature(now.block(second), b).columns)
        groups = list(_of_feature(now.block(second), right))
        for i in _of_feature(now.block(first), left):
            found += [[place + p * width + q for p in i for q in j] for j in groups]
        place += len(_feature(now.block(first), a).columns) * width
    return found


def _of_feature(block: Columns, before: Fitted) -> Iterator[list[int]]:
    """For each column of the feature before, which of its columns now make it, from 0."""
    now = _feature(block, before.name)
    bare = [replace(f, vocabulary=(), profile=Profile()) for f in (now, before)]
    if bare[0] != bare[1] or not set(before.vocabulary) <= set(now.vocabulary) or before.missing > now.missing:
        where = f"{block.scope}.{before.name}"
        raise ValueError(f"{where}: found other columns than before, expected more categories at most")
    if before.type not in WITH_WORDS:
        yield from ([k] for k in range(len(before.columns)))
        return
    place, known = {text: k for k, text in enumerate(now.vocabulary)}, set(before.vocabulary)
    yield from ([place[text]] for text in before.vocabulary)
    yield [len(place), *(k for text, k in place.items() if text not in known)]
    if before.missing:
        yield [len(place) + 1]


def _feature(block: Columns, name: str) -> Fitted:
    for feature in block.features:
        if feature.name == name:
            return feature
    raise ValueError(f"{block.scope}.{name}: found no such feature, expected those of before")


def _named(encoder: Encoder, scope: str, name: str) -> Fitted:
    return _feature(encoder.block(scope), name)
