"""An import says what the log holds afterwards: repeats, ids used twice, files of one name, values of a wrong type."""

import orjson
import pytest

from croupier.features.exchange.importing import import_log
from croupier.features.exchange.record import explained
from croupier.features.exchange.sources import open_source
from croupier.features.log.spool import Spool
from croupier.features.schema import Reward
from croupier.features.spec import AppSpec
from tests.spooled import rewards_of

SPEC = AppSpec.model_validate(
    {"context": {"age": {"type": "numeric"}, "tags.red": {"type": "numeric"}}, "reward": {"kinds": {"reward": {}}}}
)


@pytest.fixture
def log(tmp_path):
    spool = Spool(tmp_path / "log.db")
    yield spool
    spool.close()


def write(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def bring(log, path):
    done = import_log(log, open_source(path, unit_key="k"), SPEC)
    return done, log.counts()


def line(event, cost):
    return orjson.dumps(
        {
            "_label_cost": cost,
            "_label_probability": 0.5,
            "_labelIndex": 0,
            "EventId": event,
            "a": [1, 2],
            "p": [0.5, 0.5],
            "Timestamp": "2026-01-01T00:00:00Z",
            "c": {"_multi": [{"_tag": "a"}, {"_tag": "b"}]},
        }
    ).decode()


def test_repeats_are_counted_as_what_they_are(tmp_path, log):
    """One rewarded line nine times and nine unrewarded events: ten decisions."""
    lines = [line("first", -1.0)] * 9 + [line(f"e{i}", 0.0) for i in range(9)]
    done, held = bring(log, write(tmp_path / "log.dsjson", "\n".join(lines)))
    assert (done.decisions, done.repeated, done.rewards) == (10, 8, 1)
    assert (held["decisions"], held["rewards"]) == (10, 1)


def test_two_files_of_one_name_are_two_logs(tmp_path, log):
    """The rewards of each file stay with its own decisions."""
    first = write(tmp_path / "2026-01-01" / "log.csv", "arm,p,reward,age\n" + "a,.5,1,30\nb,.5,0,31\n" * 50)
    second = write(tmp_path / "2026-01-02" / "log.csv", "arm,p,reward,age\n" + "b,.5,0,40\na,.5,1,41\n" * 50)
    for path, total in ((first, 100), (second, 200)):
        done, held = bring(log, path)
        assert (done.decisions, done.repeated, done.conflicting, held["decisions"]) == (100, 0, 0, total)
    by_arm = {}
    for event, body in ((d["event_id"], d) for d in (orjson.loads(b) for _, b in log.read("decisions"))):
        paid = sum(reward.value for _, reward in rewards_of(log, [event]).get(event, []))
        by_arm.setdefault((body["arm"], body["context"]["age"]), set()).add(paid)
    assert by_arm == {("a", 30.0): {1.0}, ("b", 31.0): {0.0}, ("b", 40.0): {0.0}, ("a", 41.0): {1.0}}


def test_equal_rows_are_decisions_of_their_own_and_a_second_import_changes_nothing(tmp_path, log):
    path = write(tmp_path / "log.csv", "arm,p,reward\n" + "a,.5,1\n" * 70 + "b,.5,0\n")
    moved = write(tmp_path / "elsewhere" / "other.csv", path.read_text())
    assert [bring(log, p)[0].decisions for p in (path, path, moved)] == [71, 0, 0]


def test_a_file_that_has_grown_brings_only_its_new_rows(tmp_path, log):
    rows = [f"{'ab'[i % 2]},.5,{i % 3 % 2},{20 + i}" for i in range(90)]
    path = write(tmp_path / "log.csv", "\n".join(["arm,p,reward,age", *rows[:70]]) + "\n")
    assert bring(log, path)[0].decisions == 70
    rows[80] = rows[80].replace("100", "100.5")  # a column of whole numbers becomes one of fractions
    done, held = bring(log, write(path, "\n".join(["arm,p,reward,age", *rows]) + "\n"))
    assert (done.decisions, done.repeated, held["decisions"]) == (20, 70, 90)


def test_lines_without_an_event_id_are_named_by_content(tmp_path, log):
    text = "\n".join(line("", cost) for cost in (-1.0, 0.0, -1.0))
    other = write(tmp_path / "b" / "x.json", "\n".join(line("", cost) for cost in (0.0, -1.0, -1.0)))
    assert bring(log, write(tmp_path / "a" / "x.json", text))[0].decisions == 3
    assert bring(log, other)[0].decisions == 3
    assert bring(log, other)[0].decisions == 0


def test_ids_that_start_anew_in_each_file_mix_no_rewards(tmp_path, log):
    head = "id,arm,p,reward,at\n"
    first = write(tmp_path / "1.csv", head + "0,a,.5,,2026-01-01T00:00:00\n1,b,.5,1,2026-01-01T00:00:01\n")
    second = write(tmp_path / "2.csv", head + "0,a,.5,1,2026-01-02T00:00:00\n2,b,.5,1,2026-01-02T00:00:01\n")
    assert bring(log, first)[0].decisions == 2
    done, held = bring(log, second)
    assert (done.decisions, done.conflicting, done.repeated, done.rewards) == (1, 1, 0, 1)
    assert (held["decisions"], held["rewards"]) == (3, 2)
    assert rewards_of(log, ["0"]) == {}


def test_rows_that_say_another_reward_of_one_event_are_counted(tmp_path, log):
    """As exports hold them: a row at the decision, and another once somebody clicked; or the same row three times."""
    rows = ["0,a,.5,0", "1,b,.5,1", "0,a,.5,1", "1,b,.5,1", "1,b,.5,1", "2,a,.5,"]
    done, held = bring(log, write(tmp_path / "1.csv", "\n".join(["id,arm,p,reward", *rows]) + "\n"))
    assert (done.decisions, done.repeated, done.rewards, done.rewarded_again) == (3, 3, 3, 1)
    assert held["rewards"] == 3
    again, _ = bring(log, write(tmp_path / "2.csv", "\n".join(["id,arm,p,reward", *rows, "2,a,.5,0"]) + "\n"))
    assert (again.decisions, again.repeated, again.rewards, again.rewarded_again) == (0, 7, 1, 1)


def test_what_a_full_log_did_not_keep_is_no_decision_of_it(tmp_path):
    spool = Spool(tmp_path / "small.db", max_bytes=60_000)
    path = write(tmp_path / "log.csv", "arm,p,reward\n" + "a,.5,1\nb,.5,0\n" * 2000)
    done, held = bring(spool, path)
    spool.close()
    assert done.decisions == held["decisions"] < 4000
    assert done.decisions + done.thinned == 4000


def test_values_are_brought_to_what_is_declared_or_counted(tmp_path, log):
    text = "arm,p,reward,age,tags\n"
    text += 'a,.5,1,27,"[""red""]"\nb,.5,1,n/a,"[""blue""]"\na,.5,1,old,[]\nb,.5,1,1.5e1,"[""blue"", ""red""]"\n'
    source = open_source(write(tmp_path / "log.csv", text), unit_key="k")
    done = import_log(log, source, SPEC)
    contexts = [orjson.loads(body)["context"] for _, body in log.read("decisions")]
    assert contexts == [{"age": 27.0, "tags.red": 1.0}, {"tags.red": 0.0}, {"age": 15.0, "tags.red": 1.0}]
    assert (done.decisions, done.skipped, dict(source.skipped)) == (3, 1, {"bad context.age": 1})


def test_a_reward_that_came_later_finds_its_decision_though_the_file_knows_more_arms(tmp_path, log):
    head = "id,arm,p,reward\n"
    assert bring(log, write(tmp_path / "1.csv", head + "0,a,.5,\n1,b,.5,\n"))[0].rewards == 0
    done, _ = bring(log, write(tmp_path / "2.csv", head + "1,b,.5,1\n0,a,.5,.25\n2,c,.5,1\n"))
    assert (done.decisions, done.repeated, done.conflicting, done.rewards) == (1, 2, 0, 3)
    assert {e: [r.value for _, r in found] for e, found in rewards_of(log, ["0", "1", "2"]).items()} == {
        "0": [0.25],
        "1": [1.0],
        "2": [1.0],
    }


def test_rows_whose_reward_is_not_as_declared_are_skipped_whole_and_named(tmp_path, log):
    """Without its reward a decision would say that none came, and count as the default."""
    text = "arm,p,reward,age,at\n" + "a,.5,1,30,2026-01-01T00:00:00\n" * 8
    text += "a,.5,7,31,2026-01-01T00:00:00\nb,.5,-1,32,2026-01-01T00:00:00\nb,.5,0.5,33,2090-01-01T00:00:00\n"
    source = open_source(write(tmp_path / "log.csv", text), unit_key="k")
    done = import_log(log, source, SPEC)
    assert (done.decisions, done.rewards, done.skipped) == (8, 8, 3)
    assert log.counts() == {"decisions": 8, "rewards": 8, "rejects": 0, "thinned": 0}
    assert source.skipped == {
        "out of range: value expected to be 0 to 1 for a reward; if such values are right, declare their range in "
        "app.toml: [reward.kinds.reward] range": 2,
        "absurd time: at expected to be a time that has come": 1,
    }


def test_a_reward_of_a_kind_that_the_app_does_not_declare_is_skipped_by_name(tmp_path, log):
    source = open_source(write(tmp_path / "log.csv", "arm,p,reward\na,.5,1\nb,.5,\n"), unit_key="k")
    done = import_log(log, source, AppSpec.model_validate({"reward": {"kinds": {"rewrad": {}}}}))
    assert (done.decisions, done.rewards, done.skipped) == (1, 0, 1)
    assert source.skipped == {"undeclared kind: kind expected to be one of rewrad; did you mean rewrad?": 1}


def test_values_that_no_estimate_can_use_are_counted_by_name_and_stop_no_other_row(tmp_path, log):
    """The weight of a propensity of 5e-324 is infinite; Python gives up on a list that is nested as deep as this."""
    sound = 'x,0.5,1,"[""x"", ""y""]"\n'
    text = "arm,p,reward,arms\n" + sound * 30 + 'x,5e-324,1,"[""x"", ""y""]"\nx,nan,1,"[""x"", ""y""]"\n'
    text += f'x,0.5,1,[{"-" * 5000}1]\nx,0.5,1,x;y\nx,0.5,1e400,"[""x"", ""y""]"\n'
    source = open_source(write(tmp_path / "log.csv", text), unit_key="k")
    done = import_log(log, source, SPEC)
    assert (done.decisions, done.rewards, done.skipped) == (30, 30, 5)
    assert source.skipped == {"bad propensity": 2, "bad arms": 2, "bad value": 1}
    assert all("expected" in explained(why) for why in source.skipped)


def test_minus_nothing_is_nothing(log):
    zeros = [Reward(event_id="e", at=1, kind="reward", value=value) for value in (0.0, -0.0, 0)]
    assert log.append_rewards(zeros) == [True, False, False]
