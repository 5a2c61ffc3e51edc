"""What one request's own arms cost is what the catalogue's cost, to the last bits, and the same whoever else asks."""

import numpy as np
import pytest

from croupier.features.batch import Batch, Catalogue
from croupier.models.vw.costs import BilinearCosts
from croupier.models.vw.form import Bilinear

A, D_U, D_A, D_P = 12, 5, 4, 2


def form_of(members, rng):
    def weights(*size):
        return rng.normal(size=(members, *size))

    return Bilinear(
        bias=rng.normal(size=members),
        w_u=weights(D_U),
        w_x=weights(D_A + D_P),
        W=weights(D_U, D_A + D_P),
        steps=9,
        model=b"",
    )


def asked(rng, B, K, d_p):
    """Requests for arms of a catalogue, and the same with the arms of every request, or of some, brought along."""
    features = rng.normal(size=(A, D_A)).astype(np.float32)
    published = Catalogue(ids=tuple(f"a{i}" for i in range(A)), features=features, digest="d")
    arm = np.stack([rng.permutation(A)[:K] for _ in range(B)])
    mask = rng.random((B, K)) < 0.8
    mask[:, 0] = True
    arm = np.where(mask, arm, 0)
    facts = {"context": rng.normal(size=(B, D_U)).astype(np.float32), "mask": mask}
    facts["pair"] = rng.normal(size=(B, K, d_p)).astype(np.float32) * mask[:, :, None]
    own = published.with_inline([f"i{j}" for j in range(arm.size)], features[arm.ravel()])
    whole = np.where(mask, A + np.arange(arm.size).reshape(B, K), 0)
    some = np.where(np.arange(B)[:, None] % 3 == 0, whole, arm)
    mixed = np.where((np.arange(K) % 2 == 0) & mask, whole, arm)
    return (
        Batch(arm=arm, catalogue=published, **facts),
        [Batch(arm=rows, catalogue=own, **facts) for rows in (whole, some, mixed)],
    )


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("d_p", [0, D_P])
def test_own_arms_cost_what_the_same_arms_of_the_catalogue_do(members, d_p):
    rng = np.random.default_rng(members)
    for B, K in ((1, 1), (1, 7), (40, 1), (64, 12)):
        form = form_of(members, rng)
        form = form if d_p else Bilinear(**{**vars(form), "w_x": form.w_x[:, :D_A], "W": form.W[:, :, :D_A]})
        listed, brought = asked(rng, B, K, d_p)
        expected = BilinearCosts().costs(listed, form)
        for batch in brought:
            found = BilinearCosts().costs(batch, form)
            np.testing.assert_allclose(found[:, batch.mask], expected[:, batch.mask], rtol=0, atol=1e-12)


@pytest.mark.parametrize("members", [1, 3])
def test_a_row_has_the_same_bits_alone_and_among_others(members):
    rng = np.random.default_rng(7)
    form = form_of(members, rng)
    for B, K in ((1, 9), (64, 1), (64, 12)):
        _, brought = asked(rng, B, K, D_P)
        for batch in brought:
            whole = BilinearCosts().costs(batch, form)
            for i in range(B):
                alone = BilinearCosts().costs(batch[np.array([i])], form)
                np.testing.assert_array_equal(alone[:, 0], whole[:, i])


def test_arms_of_equal_features_tie_exactly_within_a_request():
    rng = np.random.default_rng(1)
    form, (_, (whole, _, mixed)) = form_of(1, rng), asked(rng, 8, 12, 0)
    form = Bilinear(**{**vars(form), "w_x": form.w_x[:, :D_A], "W": form.W[:, :, :D_A]})
    for batch in (whole, mixed):
        same = Catalogue(
            ids=batch.catalogue.ids,
            features=np.ones_like(batch.catalogue.features),
            digest="d",
            published=Catalogue(ids=batch.catalogue.ids[:A], features=np.ones((A, D_A), np.float32), digest="d"),
        )
        cost = BilinearCosts().costs(Batch(**{**vars(batch), "catalogue": same}), form)[0]
        for row, mask in zip(cost, batch.mask, strict=True):
            assert len(set(row[mask].tolist())) == 1
