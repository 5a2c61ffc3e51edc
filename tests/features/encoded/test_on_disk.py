"""Arrays in files without a name are the arrays that memory would hold."""

import tempfile
import tomllib
from dataclasses import fields, replace

import numpy as np
import pytest

from croupier.features.batch import concatenate
from croupier.features.encoded.gathered_log import gathered
from croupier.features.encoded.on_disk import BLOCK, SMALL, BlocksOnDisk, blocks, zeros
from croupier.features.encoding.dataset import encode_chunks
from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [3, SMALL])
def test_zeros_may_be_written_and_leave_no_file(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = zeros((rows, 2), np.float32)
    assert (found.shape, found.dtype, found.any()) == ((rows, 2), np.float32, False)
    found[-1] = 7.0
    assert found.sum() == 14.0
    _ = [*blocks(rows)]  # gives the pages back
    assert (found[-1].tolist(), found.sum()) == ([7.0, 7.0], 14.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shapes", [
    [(2, 3), (1, 3)], [(2, 1), (4, 3), (1, 2)], [(5,), (0,), (7,)], [(3, 2, 0), (1, 4, 0)], [(2, 2, 3), (1, 3, 3)],
    [(40_000, 4), (30_000, 4)], [(40_000, 2), (30_000, 4)],
])  # fmt: skip
def test_blocks_are_put_together_and_padded(shapes):
    made, found = [RNG.normal(size=shape).astype(np.float32) for shape in shapes], BlocksOnDisk()
    for block in made:
        found.add(block)
    widest = tuple(map(max, zip(*(shape[1:] for shape in shapes), strict=True)))
    padded = [np.pad(b, [(0, 0), *((0, w - n) for w, n in zip(widest, b.shape[1:], strict=True))]) for b in made]
    array = found.array()
    np.testing.assert_array_equal(array, np.concatenate(padded))
    assert array.dtype == np.float32


def test_without_room_it_says_so():
    with pytest.raises(OSError, match=r"found no room for 9,007,199,254,740,992,000 bytes .* set TMPDIR"):
        zeros((1 << 50, 1000), np.float64)


def test_blocks_are_all_rows():
    assert [*blocks(0)] == []
    assert [*blocks(BLOCK + 1)] == [slice(0, BLOCK), slice(BLOCK, BLOCK + 1)]


@pytest.fixture(scope="module")
def chunks():
    """A log in chunks of other widths, of which the second and the fourth bring arms along."""
    world = World(seed=3, candidates=(3, 9))
    spec, rows = AppSpec.model_validate(tomllib.loads(world.app_toml())), world.interactions(600)
    encoder = Encoder.fit(spec, rows, world.arms())
    found = list(encode_chunks(rows, encoder, encoder.catalogue(world.arms()), rows=150))
    for i in (1, 3):
        batch = found[i].batch
        features = RNG.normal(size=(2, batch.catalogue.features.shape[1])).astype(np.float32)
        known = batch.catalogue.with_inline([f"new-{i}", "other"], features)
        arm = batch.arm.copy()
        arm[:, 0] = batch.catalogue.size + i % 2
        found[i] = replace(found[i], batch=replace(batch, arm=arm, catalogue=known))
    return found


def test_a_gathered_log_is_its_chunks_put_together(chunks):
    one, other = gathered(iter(chunks)), concatenate(chunks)
    for name in (field.name for field in fields(other) if field.name not in ("batch", "slate")):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    for name in ("context", "arm", "mask", "pair"):
        np.testing.assert_array_equal(getattr(one.batch, name), getattr(other.batch, name))
    assert one.batch.catalogue.ids == other.batch.catalogue.ids
    assert one.batch.catalogue.size == other.batch.catalogue.size < len(one.batch.catalogue.ids)
    np.testing.assert_array_equal(one.batch.catalogue.features, other.batch.catalogue.features)
    assert (one.slate, one.batch.price, one.batch.left_out, one.batch.allocation) == (None,) * 4


def test_what_chunks_have_besides_is_kept(chunks):
    slate, out = np.arange(450).reshape(150, 3), [c.batch.mask & (c.batch.arm % 2 == 0) for c in chunks]
    texts = np.array(["", '{"x": 1}'] * 75, np.object_)
    more = [
        replace(c, slate=slate + i, batch=replace(c.batch, left_out=o, price=o * 0.5, allocation=texts))
        for i, (c, o) in enumerate(zip(chunks, out, strict=True))
    ]
    one, other = gathered(more), concatenate(more)
    np.testing.assert_array_equal(one.slate, other.slate)
    for name in ("left_out", "price"):
        np.testing.assert_array_equal(getattr(one.batch, name), getattr(other.batch, name))
    assert one.batch.allocation.tolist() == other.batch.allocation.tolist()
    assert gathered([]) is None
