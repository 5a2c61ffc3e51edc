"""Arrays from the log: values by hand, and the encoded Parquet gives back the same arrays."""

from dataclasses import fields

import numpy as np
import polars as pl
import pytest

from croupier.features.encoding import catalogue, dataset
from croupier.features.encoding.encoder import Encoder
from croupier.features.schema import Arm, InvalidEvent
from croupier.features.spec import AppSpec
from croupier.features.worlds.reels import World

WORLD = World(seed=3, n_arms=9)


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    path = tmp_path_factory.mktemp("app") / "app.toml"
    path.write_text(WORLD.app_toml())
    df = WORLD.interactions(500)
    encoder = Encoder.fit(AppSpec.read(path), df, WORLD.arms())
    return df, encoder, encoder.catalogue(WORLD.arms())


def assert_same(a, b):
    for name in ("context", "arm", "mask", "pair"):
        assert np.array_equal(getattr(a.batch, name), getattr(b.batch, name)), name
        assert getattr(a.batch, name).dtype == getattr(b.batch, name).dtype, name
    for name in (f.name for f in fields(a) if f.name != "batch" and getattr(a, f.name) is not None):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert getattr(a, name).dtype == getattr(b, name).dtype, name


def test_rows_become_arrays(log):
    df, encoder, arms = log
    out = dataset.encode_interactions(df, encoder, arms)
    row = df.row(17, named=True)
    assert [arms.ids[i] for i in out.batch.arm[17][out.batch.mask[17]]] == row["arms"]
    assert row["arms"][out.chosen[17]] == row["arm"]
    assert out.pmf[17][out.batch.mask[17]].tolist() == row["pmf"]
    assert out.pmf[17].sum() == pytest.approx(1)
    assert (out.propensity[17], out.reward[17], out.at[17]) == (row["propensity"], row["reward"], row["at"])
    assert out.unit[17] == int(row["unit_id"][:16], 16)
    assert out.weight.tolist() == [1.0] * 500


def test_typed_columns_give_the_same_arrays(log):
    df, encoder, arms = log
    struct = df.with_columns(
        context=df["context"].str.json_decode(
            pl.Struct(
                {
                    "age": pl.Float64,
                    "hour": pl.Int64,
                    "session_depth": pl.Float32,
                    "country": pl.String,
                    "device": pl.String,
                }
            )
        )
    )
    assert_same(dataset.encode_interactions(struct, encoder, arms), dataset.encode_interactions(df, encoder, arms))


def test_thinned_rows_weigh_more(log):
    df, encoder, arms = log
    thinned = df[:2].with_columns(pass_probability=pl.Series([0.25, 1.0]))
    assert dataset.encode_interactions(thinned, encoder, arms).weight.tolist() == [4.0, 1.0]


def test_chosen_arm_must_be_a_candidate(log):
    df, encoder, arms = log
    with pytest.raises(InvalidEvent, match="ghost"):
        dataset.encode_interactions(df[:3].with_columns(arm=pl.lit("ghost")), encoder, arms)


def test_parquet_streams_the_same_arrays(log, tmp_path):
    df, encoder, arms = log
    path = tmp_path / "deep" / "encoded.parquet"
    assert dataset.write(path, dataset.encode_chunks(df, encoder, arms, rows=200), encoder) == 500
    read = dataset.read(path, arms)
    assert len(read) == 500
    assert read.encoder == encoder.digest
    for _ in range(2):  # re-iterable
        chunks = list(read)
        assert [len(c) for c in chunks] == [200, 200, 100]
        for chunk, start in zip(chunks, (0, 200, 400), strict=True):
            assert_same(chunk, dataset.encode_interactions(df[start : start + len(chunk)], encoder, arms))
            assert chunk.batch.context.flags.writeable


def test_another_catalogue_is_refused(log, tmp_path):
    df, encoder, arms = log
    dataset.write(tmp_path / "e.parquet", dataset.encode_chunks(df, encoder, arms), encoder)
    other = encoder.catalogue(WORLD.arms()[:-1])
    with pytest.raises(ValueError, match="encode it again"):
        dataset.read(tmp_path / "e.parquet", other)


def test_nothing_to_write(log, tmp_path):
    _, encoder, _ = log
    with pytest.raises(ValueError, match="no interactions"):
        dataset.write(tmp_path / "e.parquet", [], encoder)
    assert not list(tmp_path.iterdir())


def test_catalogue_round_trip_and_digest(tmp_path):
    arms = WORLD.arms()
    catalogue.write(tmp_path / "catalogue.json", arms)
    assert catalogue.read(tmp_path / "catalogue.json") == arms
    assert catalogue.digest(arms) != catalogue.digest(arms[::-1])
    assert catalogue.why_not(Arm(arm_id="a", features={}, valid_from=5, valid_to=9), 9) == "retired"
    assert catalogue.why_not(Arm(arm_id="a", features={}, valid_from=5), 9) == ""


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', "no", '[{"features": {}}]', '[{"arm_id": ""}]', '[{"arm_id": "a", "x": 1}]',
     '[{"arm_id": "a"}, {"arm_id": "a"}]', '[{"arm_id": "a", "features": 3}]', '[{"arm_id": "a", "valid_to": "now"}]'],
)  # fmt: skip
def test_bad_catalogue_is_named(text):
    with pytest.raises(InvalidEvent, match="catalogue"):
        catalogue.loads(text.encode())
