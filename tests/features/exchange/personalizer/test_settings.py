"""Personalizer's settings become keys of app.toml; of each one it is said whether it is kept."""

import pytest

from croupier.features.exchange.guess import Given
from croupier.features.exchange.personalizer import arguments, service

# as GET …/configurations/service answers in v1.1-preview.1 (learn.microsoft.com/rest/api/personalizer)
SERVICE = {
    "rewardWaitTime": "PT10M", "defaultReward": 0.5, "rewardAggregation": "sum", "explorationPercentage": 0.2,
    "modelExportFrequency": "PT5M", "logMirrorEnabled": True, "logMirrorSasUri": "https://blob.invalid/c?sig=SECRET",
    "logRetentionDays": 7, "lastConfigurationEditDate": "0001-01-01T00:00:00Z", "learningMode": "Online",
    "isAutoOptimizationEnabled": True, "autoOptimizationFrequency": "P7D",
    "autoOptimizationStartDate": "2019-01-19T00:00:00Z",
}  # fmt: skip
DEFAULT = "--cb_explore_adf --epsilon 0.2 --power_t 0 -l 0.001 --cb_type mtr -q ::"


def test_what_can_be_kept_is():
    given, said = service.given(SERVICE)
    assert given == Given(window_seconds=600.0, default=0.5, how="sum", floor=0.2)
    assert "rewardWaitTime PT10M → [reward] window_seconds = 600" in said
    assert all(any(line.startswith(name) for line in said) for name in SERVICE), "each setting has its sentence"
    assert sum("not kept" in line for line in said) == 8
    assert not any("SECRET" in line for line in said)


def test_a_setting_of_tomorrow_is_named_and_not_kept():
    _, said = service.given({"rewardWaitTime": "PT5S", "fairness": 3})
    assert "fairness: not kept: croupier has no such setting" in said


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT10M", 600),
        ("PT1H30M", 5400),
        ("P2D", 172800),
        ("P1DT0.5S", 86400.5),
        ("00:10:00", 600),
        ("1.00:00:05", 86405),
    ],
)
def test_a_wait_time_in_each_form(text, seconds):
    assert service.seconds("rewardWaitTime", text) == seconds


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"rewardWaitTime": "ten minutes"}, "rewardWaitTime: found 'ten minutes', expected a time such as PT10M"),
        ({"rewardWaitTime": "PT0S"}, "found 'PT0S'"),
        ({"rewardWaitTime": "P"}, "found 'P'"),
        ({"defaultReward": "0"}, "defaultReward: found '0', expected a number"),
        ({"rewardAggregation": "latest"}, "rewardAggregation: found 'latest', expected one of earliest, sum"),
        ({"explorationPercentage": 20}, "explorationPercentage: found 20, expected a share from 0 to 1"),
        ({"explorationPercentage": True}, "found True, expected a number"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_by_name(setting, says):
    with pytest.raises(ValueError, match=says):
        service.given(setting)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        (DEFAULT, {"preset": "epsilon_greedy", "epsilon": 0.2}),
        ("--cb_explore_adf", {"preset": "epsilon_greedy", "epsilon": 0.05}),
        ("--cb_explore_adf -l 0.5 --epsilon=0.1", {"preset": "epsilon_greedy", "epsilon": 0.1, "learning_rate": 0.5}),
        ("--squarecb --epsilon 0.01", {"preset": "squarecb", "gamma_scale": 10.0, "epsilon": 0.01}),
        ("--squarecb --gamma_scale=30", {"preset": "squarecb", "gamma_scale": 30.0}),
        ("--regcb", {"preset": "regcb_elim", "mellowness": 0.1}),
        ("--regcb --regcbopt --mellowness 0.5 --epsilon .1", {"preset": "regcb", "mellowness": 0.5}),
        ("--bag 5 -l0.3", {"preset": "bag", "members": 5, "learning_rate": 0.3}),
        ("--cover 3 --epsilon 0.3", {"preset": "epsilon_greedy", "epsilon": 0.3}),
    ],
)
def test_exploration_is_what_vw_would_do(text, values):
    assert arguments.parameters({"name": "mine", "arguments": text})[0] == values


def test_nothing_of_a_command_line_is_dropped_in_silence():
    words = (
        "--cb_explore_adf --epsilon 0.2 --power_t 0 -l 0.001 --cb_type dr -q :: --interactions ij -b 20 --l1 1e-6 --wow"
    )
    _, said = arguments.parameters({"arguments": words})
    for option in (
        "--epsilon",
        "--power_t",
        "-l",
        "--cb_type",
        "--quadratic ::",
        "--interactions ij",
        "--bit_precision 20",
    ):
        assert any(line.startswith(option) for line in said), option
    assert "--l1 1e-6: not kept: vw_cb_adf has no such parameter" in said
    assert "--wow: not kept: vw_cb_adf has no such parameter" in said


def test_values_may_be_negative_numbers_and_quoted():
    _, said = arguments.parameters({"arguments": '--initial_weight -0.5 --ignore_linear "From Url"'})
    assert "--initial_weight -0.5: not kept: vw_cb_adf has no such parameter" in said
    assert any(line.startswith("--ignore_linear From Url: not kept") for line in said)


@pytest.mark.parametrize("text", ["--epsilon many", '--epsilon "0.2', "--squarecb --gamma_scale x", "--bag"])
def test_a_command_line_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="arguments: found"):
        arguments.parameters({"arguments": text})


def test_no_policy_is_no_parameter():
    assert arguments.parameters({}) == ({}, [])
