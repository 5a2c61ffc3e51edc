"""`croupier migrate personalizer --endpoint`: from a Personalizer that runs (an HTTP server with the answers of the real
one's documentation, and a gateway of our own) to an app, and a sentence on each thing that cannot be had."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from croupier.features.schema import Arm, InvalidEvent
from croupier.features.workspace import Workspace
from croupier.serving.cli import app
from croupier.serving.embedded.embedded import Embedded
from croupier.serving.gateway.ranking.features import FeatureRule, KnownNames
from croupier.serving.triton import certificates
from tests.serving.commands.test_migrate import KINDS, POLICY, SERVICE, saved, var  # noqa: F401 - fixtures
from tests.serving.gateway.door import KEYS, Gateway, declared, key_file

KEY, ROOT = "key-of-the-personalizer", "/personalizer/v1.0"
LOGS = {"dateRange": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-03T00:00:00Z"}}
ANSWERS = {
    "/configurations/service": json.dumps(SERVICE).encode(), "/configurations/policy": json.dumps(POLICY).encode(),
    "/logs/properties": json.dumps(LOGS).encode(), "/model": b"\x06\x00\x00\x009.11\x00" * 100,
}  # fmt: skip


@contextlib.contextmanager
def personalizer(answers, status=200):
    """(URL, what was asked)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            known = self.headers.get("Ocp-Apim-Subscription-Key") == KEY
            body = answers.get(self.path.removeprefix(ROOT)) if known else b"{}"
            self.send_response((status if body is not None else 404) if known else 401)
            self.send_header("Location", "http://elsewhere.invalid/")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"# of the portal\n{KEY}\n")
    return path


def run(*words):
    return CliRunner().invoke(app, ["migrate", "personalizer", "--app", "cafe", *map(str, words)])


@pytest.mark.medium
@pytest.mark.usefixtures("var")
@pytest.mark.parametrize("copied", ["/", "/personalizer/v1.0", "/personalizer/v1.1-preview.2/"])
def test_settings_of_one_that_runs_and_what_it_cannot_give(key, copied):
    with personalizer(ANSWERS) as (url, asked):
        done = run("--endpoint", url + copied, "--key", key)
    assert done.exit_code == 0, done.output
    assert asked == [ROOT + path for path in ANSWERS], "each once, and nothing is changed there"
    spec = Workspace.known("cafe").spec
    assert (spec.reward.window_seconds, spec.policies.floor, spec.arms.source) == (1200.0, 0.3, "both")
    assert spec.policies.parameters["vw_cb_adf"] == {"preset": "squarecb", "gamma_scale": 20.0, "epsilon": 0.05}
    assert (dict(spec.context), list(spec.reward.kinds)) == ({}, ["reward"])
    for said in ("rewardWaitTime PT20M → [reward] window_seconds = 1200", "logRetentionDays: not kept",
                 "logs: not kept: from 2026-03-01T00:00:00Z to 2026-03-03T00:00:00Z", "model (900 bytes): not kept",
                 "features: none is known without a log: declare [context]", "there is no log yet"):  # fmt: skip
        assert said in done.output
    with Embedded("cafe") as croupier:
        brought = croupier.select(unit_id="u", context={}, arms=[{"id": name, "features": {}} for name in KINDS])
    assert (brought.arm in KINDS, brought.propensity, brought.release) == (True, 0.5, 1)


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_settings_of_one_that_runs_and_features_of_its_saved_log(saved, key):  # noqa: F811
    (saved / "policy.json").unlink()
    running = ANSWERS | {"/configurations/service": json.dumps(SERVICE | {"rewardWaitTime": "PT30M"}).encode()}
    with personalizer(running) as (url, _):
        done = run("--endpoint", url, "--key", key, "--export", saved, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["log"]["decisions"], found["arms"]) == (299, 2)
    assert f"service configuration of {saved}: not kept: that of --endpoint is newer" in found["settings"]
    assert not [line for line in found["settings"] if line.startswith(("logs:", "features:"))]
    spec = Workspace.known("cafe").spec
    assert spec.reward.window_seconds == 1800.0
    assert spec.policies.parameters["vw_cb_adf"]["preset"] == "squarecb"
    assert "weather" in spec.context


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_a_gateway_of_ours_is_read_over_tls_as_any_other(tmp_path, key, monkeypatch):
    certificates.make(tmp_path / "tls", ["127.0.0.1"], [])
    files = {"CROUPIER_TLS_CERT": "server.crt", "CROUPIER_TLS_KEY": "server.key", "CROUPIER_TLS_ROOT": "ca.crt"}
    files = {name: str(tmp_path / "tls" / file) for name, file in files.items()}
    key.write_text(KEYS[0])
    keys = key_file(tmp_path, *KEYS)
    with Gateway(declared(tmp_path / "theirs"), "--keys", str(keys), **files) as gateway:
        refused = run("--endpoint", gateway.endpoint, "--key", key)
        assert (refused.exit_code, "CERTIFICATE_VERIFY_FAILED" in refused.output) == (1, True), refused.output
        monkeypatch.setenv("CROUPIER_TLS_ROOT", files["CROUPIER_TLS_ROOT"])
        done = run("--endpoint", gateway.endpoint, "--key", key)
    assert done.exit_code == 0, done.output
    assert Workspace.known("cafe").spec.reward.window_seconds == 600.0
    assert "logs: it has none" in done.output
    assert "model: it gives none" in done.output


@pytest.mark.usefixtures("var")
@pytest.mark.parametrize(
    ("answers", "status", "says"),
    [
        (ANSWERS | {"/configurations/service": b"<html>"}, 200, "found b'<html>', expected a JSON object"),
        (ANSWERS, 302, "found status 302, expected 200"),
        ({"/elsewhere": b"{}"}, 200, "found nothing at /personalizer/v1.0/configurations/service of "),
        (ANSWERS, 503, "found status 503, expected 200"),
        (ANSWERS | {"/configurations/service": b'{"rewardWaitTime": "soon"}'}, 200, "rewardWaitTime: found 'soon'"),
    ],
)
def test_answers_that_cannot_be_used_make_no_app(tmp_path, key, answers, status, says):
    with personalizer(answers, status) as (url, _):
        done = run("--endpoint", url, "--key", key)
    assert (done.exit_code, says in done.output) == (1, True), done.output
    assert not (tmp_path / "var" / "cafe" / "app.toml").exists()


@pytest.mark.usefixtures("var")
def test_calls_that_cannot_be_made_make_no_app(tmp_path, key):
    with personalizer(ANSWERS) as (url, _):
        wrong = tmp_path / "wrong"
        wrong.write_text("another-key")
        cases = [
            (("--endpoint", url, "--key", wrong), "found status 401, expected its key in --key"),
            (("--endpoint", url), "found no --key"),
            (("--endpoint", url, "--key", tmp_path / "none"), "found no file of a key"),
        ]
        for words, says in cases:
            done = run(*words)
            assert (done.exit_code, says in done.output) == (1, True), done.output
    for words, says in (
        ((), "found neither --export nor --endpoint"),
        (("--endpoint", url, "--key", key), "found no answer of http://127.0.0.1"),
        (("--endpoint", "http://name.invalid", "--key", key), "expected https: else the key travels in the clear"),
        (("--endpoint", "name.invalid", "--key", key), "expected a URL such as"),
    ):
        done = run(*words)
        assert (done.exit_code, says in done.output) == (1, True), done.output
        assert KEY not in done.output
    assert not (tmp_path / "var" / "cafe" / "app.toml").exists()


PAGE_LEFT = {"Timestamp": "2026-03-01T09:49:48.1060080Z", "Version": "1", "VWState": {"m": "m0"}}


def page(i, **more):
    """A line of two slots, whose names are those of every page."""
    multi = [{"_tag": a, "i": {"constant": 1, "id": a}, "j": [{"colour": a}]} for a in ("red", "blue", "green")]
    outcomes = [
        {"_label_cost": -1.0, "_id": "top", "_a": [i % 3, (i + 1) % 3, (i + 2) % 3], "_p": [0.8, 0.1, 0.1], "_o": []},
        {"_label_cost": 0.0, "_id": "side", "_a": [(i + 1) % 3, (i + 2) % 3], "_p": [0.9, 0.1], "_o": []},
    ]
    context = {
        "FromUrl": [{"hour": "night"}],
        "_multi": multi,
        "_slots": [{"_id": "top", "size": "big"}, {"_id": "side"}],
    }
    return PAGE_LEFT | {"EventId": f"page-{i}", "c": context, "_outcomes": outcomes} | more


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_pages_of_several_slots_are_all_there_and_what_is_not_is_said(tmp_path):
    folder = tmp_path / "pages"
    folder.mkdir()
    lines = [*map(page, range(100)), page(7, Timestamp="2026-03-02T09:49:48.0Z")]
    (folder / "log.json").write_text("\n".join(map(json.dumps, lines)))
    done = run("--export", folder)
    assert done.exit_code == 0, done.output
    assert "200 decisions and 100 rewards" in done.output
    assert "refused 2: their event id is another decision's in this log" in done.output
    spool = Workspace.known("cafe").spool()
    found = spool.find(["page-3/top", "page-3/side"])
    spool.close()
    assert {e: (d.arm, d.propensity) for e, d in found.items()} == {
        "page-3/top": ("red", 0.8),
        "page-3/side": ("blue", 0.9),
    }


@pytest.mark.medium
@pytest.mark.usefixtures("var")
def test_the_calls_of_the_log_are_answered_as_they_stand(tmp_path, key):
    """Numbers written as text, of actions that the catalogue has; a feature that never varied, and so is not declared."""
    actions = [
        {"id": a, "features": [{"brand": b, "kcal": n}]} for a, b, n in (("a", "acme", "42"), ("b", "bolt", "7.50"))
    ]
    folder, lines = tmp_path / "calls", []
    folder.mkdir()
    for i in range(200):
        context = [{"device": ("phone", "tv")[i % 2], "site": "shop.example", "age": str(20 + i % 30)}]
        multi = [{"_tag": a["id"], "i": {"constant": 1, "id": a["id"]}, "j": a["features"]} for a in actions]
        lines.append(PAGE_LEFT | {
            "EventId": f"e{i}", "_label_cost": -float(i % 3 == 0), "_label_probability": 0.5, "_labelIndex": i % 2,
            "_label_Action": i % 2 + 1, "a": [i % 2 + 1, 2 - i % 2], "p": [0.5, 0.5], "c": {"FromUrl": context, "_multi": multi},
        })  # fmt: skip
    (folder / "log.json").write_text("\n".join(map(json.dumps, lines)))
    done = run("--export", folder)
    assert done.exit_code == 0, done.output
    assert "context.site: left out: always shop.example" in done.output
    assert 'features → [requests] unknown_features = "ignore_and_count"' in done.output
    with Gateway(tmp_path / "var", app="cafe") as gateway:
        for line in lines[:20]:
            asked = {"contextFeatures": line["c"]["FromUrl"], "actions": actions}
            status, answer = gateway.call("POST", "/personalizer/v1.0/rank", asked)
            assert (status, sorted(a["id"] for a in answer["ranking"])) == (201, ["a", "b"]), answer
        told = gateway.call("GET", "/v1/apps/cafe/health")[1]
    assert "kcal" not in json.dumps(told), "what is as the catalogue has it is nothing unknown"
    strict = FeatureRule(ignore=False)
    known = KnownNames(release=1, arms={}, context=frozenset(), pairs=frozenset(), own=frozenset(), source="catalogue")
    arm = Arm(arm_id="a", features={"brand": "acme", "kcal": 42.0})
    assert strict.pair({"brand": "acme", "kcal": "42"}, arm, known, "actions") == {}
    for other in ("43", "42x", "", True):
        with pytest.raises(InvalidEvent, match="kcal"):
            strict.pair({"brand": "acme", "kcal": other}, arm, known, "actions")
