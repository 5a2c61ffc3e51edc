"""app.toml is checked whole before anything runs: every refusal names its entry."""

from math import inf

import numpy as np
import orjson
import polars as pl
import pytest

from croupier.features.encoding.encoder import Encoder
from croupier.features.spec import AppSpec, SpecError


def read(tmp_path, text):
    path = tmp_path / "app.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return AppSpec.read(path)


@pytest.mark.parametrize(("text", "named"), [
    ("[reward]\nrange = [1.0, 0.0]", r"reward\.range"), ("[reward]\nrange = [1, 1]", r"reward\.range"),
    ("[reward]\nrange = [0.0, inf]", r"reward\.range"), ("[reward]\ndefault = nan", r"reward\.default"),
    ("[reward]\nwindow_seconds = inf", r"reward\.window_seconds"),
    ("[reward.kinds.click]\nclip = [1, 0]", r"reward\.kinds\.click\.clip"),
    ("[reward.kinds.click]\nweight = inf", r"reward\.kinds\.click\.weight"),
    ('[context.age]\ntype = "numeric"\nclip = [nan, 1]', r"context\.age\.clip"),
    ("[policies]\ncandidates = []", r"policies\.candidates"), ("[policies]\nseed = -1", r"policies\.seed"),
    ('[policies]\ncandidates = ["lin_ts", "lin_ts"]', r"policies\.candidates"),
    ("[policies]\nfloor = nan", r"policies\.floor"), ("[gate]\nmargin = nan", r"gate\.margin"),
    ("[rollout]\nstages = []", r"rollout\.stages"), ("[rollout]\nstages = [0.5, 0.1]", r"rollout\.stages"),
    ("[rollout]\nstages = [0.0, 1.0]", r"rollout\.stages"), ("[rollout]\nmargins = [nan]", r"rollout\.margins"),
    ("a = " + "[" * 5000 + "]" * 5000, "not TOML"), ("a = " + "9" * 5000, "not TOML"), (b"\xff\xfe", "not TOML"),
])  # fmt: skip
def test_a_refusal_names_the_entry(tmp_path, text, named):
    with pytest.raises(SpecError, match=named):
        read(tmp_path, text)


@pytest.mark.parametrize(("text", "said"), [
    ('[policies]\nfloor = "0.3"', "policies.floor: found '0.3', expected a number, without quotes"),
    ("[gate]\nmin_rows = true", "gate.min_rows: found True, expected a number"),
    ('[reward]\nrange = [0, "1"]', r"reward.range: found \[0, '1'\], expected a number, without quotes"),
    ('[rollout]\nstages = [0.05, "1"]', r"rollout.stages: found \[0.05, '1'\], expected a number"),
    ('[gate.guardrail_margins]\na = "2"', "gate.guardrail_margins: found {'a': '2'}, expected a number"),
    ('[reward.kinds.click]\nclip = [0, "inf"]', r"reward.kinds.click.clip: found \[0, 'inf'\], expected a number"),
    ('[safety]\nnever_dominated = "no"', "never_dominated: found 'no', expected true or false, without quotes"),
    ('[safety]\nconservative = 0.1\nbaseline = ""', "safety.baseline: found '', expected at least 1 character"),
    ("[safety]\nnever_dominated = 1", "safety.never_dominated: found 1, expected true or false"),
])  # fmt: skip
def test_a_text_or_a_truth_is_no_number_and_a_text_is_no_truth(tmp_path, text, said):
    with pytest.raises(SpecError, match=said):
        read(tmp_path, text)


def test_a_whole_number_is_a_number(tmp_path):
    assert read(tmp_path, "[rollout]\nstages = [1]\n[gate]\nmargin = 0\nmin_ess = 50").gate.min_ess == 50.0


def test_what_windows_writes_is_read(tmp_path):
    assert read(tmp_path, b"\xef\xbb\xbf[gate]\r\nalpha = 0.1\r\n").gate.alpha == 0.1


def test_a_clip_on_one_side_survives_the_encoders_file(tmp_path):
    spec = read(tmp_path, '[context.x]\ntype = "numeric"\ntransform = "none"\nclip = [0.0, inf]')
    assert spec.context["x"].clip == (0.0, inf)
    log = pl.DataFrame({"context": [orjson.dumps({"x": x}).decode() for x in (1.0, 3.0)], "arm_context": ["[]"] * 2})
    fitted = Encoder.fit(spec, log, [])
    fitted.save(tmp_path)
    rows = [{"x": -5.0}, {"x": 7.0}, {}]
    expected = np.array([[0.0], [7.0], [2.0]], np.float32)  # missing: the training mean
    for encoder in (fitted, Encoder.load(tmp_path)):
        np.testing.assert_array_equal(encoder.context.matrix(rows), expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[reward]\ndefault = 2.0", "  reward.default: found 2, expected a value within reward.range, 0 to 1"),
        ("[gate]\nhorizon = 5000", "  gate.looks: found 0 with horizon = 5,000, expected 1 or more, or no horizon"),
    ],
)
def test_what_is_wrong_of_several_entries_names_them_and_not_the_whole_file(tmp_path, text, said):
    with pytest.raises(SpecError) as refused:
        read(tmp_path, text)
    assert str(refused.value).splitlines()[1] == said
