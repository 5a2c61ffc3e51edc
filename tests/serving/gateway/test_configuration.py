"""What Personalizer's clients read of an app is what app.toml says, and `croupier migrate` reads it back."""

import contextlib

import pytest

from croupier.features.exchange.guess import Given
from croupier.features.exchange.personalizer import arguments
from croupier.features.exchange.personalizer import service as theirs
from croupier.features.log.ship import ship
from croupier.features.spec import AppSpec
from croupier.features.utc import HOUR, from_us, hour_start
from croupier.models import policy
from croupier.serving.gateway import configuration
from croupier.serving.gateway.desk import Desk
from croupier.serving.gateway.options import Options
from tests.serving.gateway.door import ARMS, TOML, Gateway, actions, declared, workspace

SPEC = AppSpec.model_validate(
    {
        "reward": {
            "window_seconds": 5400.0,
            "default": 0.25,
            "kinds": {"click": {"how": "sum"}, "view": {"how": "last"}},
        },
        "policies": {"floor": 0.3},
        "training": {"every": "2d"},
    }
)


def test_a_declaration_in_their_words_and_back():
    found = configuration.service(SPEC, "click")
    assert found["rewardWaitTime"] == "PT5400S"
    assert found["modelExportFrequency"] == "P2D"
    assert (found["rewardAggregation"], found["explorationPercentage"], found["logRetentionDays"]) == ("sum", 0.3, -1)
    assert theirs.given(found)[0] == Given(window_seconds=5400.0, default=0.25, how="sum", floor=0.3)
    assert configuration.service(SPEC, "view")["rewardAggregation"] == "last"


@pytest.mark.parametrize(("seconds", "text"), [(600.0, "PT600S"), (86400.0, "P1D"), (90000.5, "P1DT3600.5S")])
def test_a_duration_is_iso(seconds, text):
    assert configuration.duration(seconds) == text
    assert theirs.seconds("t", text) == seconds


def test_the_policy_is_vws_command_line_where_vw_decides():
    found = configuration.policy(policy.make("vw_cb_adf", preset="epsilon_greedy", epsilon=0.1, learning_rate=0.5), 7)
    assert found["name"] == "release 7: vw_cb_adf"
    expected = {"preset": "epsilon_greedy", "epsilon": 0.1, "learning_rate": 0.5}
    assert arguments.parameters(found)[0] == expected
    assert configuration.policy(policy.make("uniform"), 1) == {"name": "release 1: uniform", "arguments": ""}


@pytest.mark.medium
def test_the_desk_reads_this_apps_and_the_log_from_its_first_hour_to_its_last(tmp_path, monkeypatch):
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path)))
    with contextlib.closing(Desk(Options(app="shop"))) as desk:
        assert desk.service() == configuration.service(AppSpec.read(tmp_path / "shop" / "app.toml"), "click")
        assert "window_seconds = 600.0" in TOML
        assert desk.service()["rewardWaitTime"] == "PT600S"
        assert desk.policy() == {"name": "release 1: uniform", "arguments": ""}
        assert desk.logs() == {}
        chosen = desk.rank({"actions": actions(*ARMS)})
        at = desk.embedded.host.spool.find([chosen["eventId"]])[chosen["eventId"]].at
        with contextlib.closing(workspace(tmp_path).spool()) as spool:
            ship(spool, workspace(tmp_path).store, host="h")
        hour = at // HOUR * HOUR
        assert desk.logs() == {
            "dateRange": {
                "from": f"{from_us(hour):%Y-%m-%dT%H:%M:%SZ}",
                "to": f"{from_us(hour + HOUR):%Y-%m-%dT%H:%M:%SZ}",
            }
        }
        assert hour_start(f"{from_us(hour):%Y-%m-%dT%H}") == hour


@pytest.mark.medium
def test_an_app_toml_that_breaks_meanwhile_is_named_and_decisions_go_on(tmp_path):
    toml, others = tmp_path / "shop" / "app.toml", ("configurations/policy", "logs/properties", "status")
    broken = {
        b"[reward\n": "found what is not TOML",
        b"\xff": "is not UTF-8",
        b"[reward]\nrange = 5\n": "range: found 5",
    }
    with Gateway(declared(tmp_path)) as gateway:
        for i, (raw, said) in enumerate(broken.items()):
            toml.write_bytes(raw)
            for version in ("v1.0", "v1.1-preview.1"):
                status, found = gateway.call("GET", f"/personalizer/{version}/configurations/service")
                assert status == 503
                assert found["error"]["message"].startswith(f"declaration: {toml}")
                assert said in found["error"]["message"]
            assert [gateway.call("GET", f"/personalizer/v1.0/{path}")[0] for path in others] == [200, 200, 200]
            assert gateway.rank(eventId=f"e{i}")[0] == 201
            assert gateway.event(f"e{i}", "reward", {"value": 1})[0] == 204
        toml.write_text(TOML)
        assert gateway.call("GET", "/personalizer/v1.0/configurations/service")[0] == 200
