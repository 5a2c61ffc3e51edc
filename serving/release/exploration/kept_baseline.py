"""The champion of an earlier release as a declared baseline, kept in each release beside the policies that decide.

baseline/     its policy, as it was released: what the fast loop has taught it since is not in it
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import CHAMPION
from croupier.features.spec_values import SafetySpec
from croupier.features.store import layout
from croupier.features.store.storage import Store
from croupier.features.workspace import get_folder
from croupier.models import earlier
from croupier.models import policy as policies
from croupier.models.constraints.beside_baseline import BesideBaseline
from croupier.models.policy import Policy
from croupier.serving.release import bundle_store
from croupier.serving.release.safeguards import Safeguards


def kept_baseline(store: Store, beside: BesideBaseline | None, encoder: Encoder) -> Policy | None:
    """What a release that is made now keeps, reading what its `encoder` writes; None where the baseline is no release.
    From the release that is named, or, where that was pruned, from the current one that has kept it. Raises ValueError
    where neither has it, or where the encoder has not grown out of theirs."""
    if beside is None or not beside.release:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        for number, role in _places(store, beside):
            try:
                found = policies.load(get_folder(store, layout.release(number, role), Path(scratch) / role))
                before = get_folder(store, layout.release(number, layout.ENCODER), Path(scratch) / layout.ENCODER)
                return earlier.reading(found, encoder, Encoder.load(before))
            except KeyError:
                continue
    raise ValueError(_unknown(store, beside))


def problems(store: Store, safety: SafetySpec) -> list[str]:
    """What is wrong with a release as the baseline, a sentence each."""
    beside = BesideBaseline.of(safety)
    if beside is None or not beside.release:
        return []
    if any(store.list(f"{layout.release(number, folder)}/") for number, folder in _places(store, beside)):
        return []
    return [_unknown(store, beside)]


def _unknown(store: Store, beside: BesideBaseline) -> str:
    there = ", ".join(str(each["number"]) for each in bundle_store.listed(store)) or "none"
    return f"safety.baseline: found {beside.baseline!r}, expected one of the releases in the store: {there}"


def _places(store: Store, beside: BesideBaseline) -> Iterator[tuple[int, str]]:
    """The releases that have the policy, and the name of its folder there."""
    yield beside.release, CHAMPION
    current = bundle_store.current(store)
    held = None if current is None else Safeguards.of(bundle_store.manifest(store, current)).beside
    if current is not None and held is not None and held.baseline == beside.baseline:
        yield current, layout.BASELINE
