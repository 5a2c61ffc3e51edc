"""Hours of three hosts' logs, joined on a Ray cluster: rows, accounts and versions are those of one process, by the hour
or by shards of each hour, also where processes or nodes of the cluster are killed. EVENTS=1000000 is the size of the
issue; the default is a thirtieth."""

import os
import shutil
import threading
from datetime import timedelta

import psutil
import pytest

pytest.importorskip("ray", reason="Ray is an extra: pip install 'croupier[ray]'")

from croupier.features import build, clock
from croupier.features.interactions.join import logged_hours
from croupier.features.interactions.versions import newest, read_interactions
from croupier.features.joining import by_engine
from croupier.features.log.ship import ship
from croupier.features.log.spool import Spool
from croupier.features.schema import Reward
from croupier.features.utc import HOUR, from_us
from croupier.features.workspace import Workspace
from tests.features.log.test_ship import START, decisions

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own deprecations
EVENTS, HOSTS, HOURS = int(os.environ.get("EVENTS", "30000")), 3, 12
SPAN = {"start": from_us(START), "end": from_us(START + HOURS * HOUR)}
NOW, KILLED = START + (HOURS + 3) * HOUR, list[int]()


def declare(folder, patch):
    patch.setenv("CROUPIER_VAR", str(folder))
    w = Workspace.open("shop")
    w.home.mkdir(parents=True, exist_ok=True)
    (w.home / "app.toml").write_text("[reward.kinds.click]\n[reward]\nwindow_seconds = 600\n")
    return Workspace.open("shop")


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """A folder in which the logs of three hosts are shipped, nothing of them joined."""
    folder = tmp_path_factory.mktemp("logged")
    each = EVENTS * 4 // 5 // HOSTS  # of five events four are decisions, and one a reward, at any host
    with pytest.MonkeyPatch.context() as patch:
        w = declare(folder, patch)
        spools = [Spool(folder / f"{host}.db") for host in range(HOSTS)]
        for host, spool in enumerate(spools):
            made = decisions(each, step=HOURS * HOUR // each, name=f"h{host}-")
            for n in range(0, len(made), 10_000):
                spool.append_decisions(made[n : n + 10_000])
            for n, d in enumerate(made[::4]):
                reward = Reward(event_id=d.event_id, at=d.at + 5, kind="click", value=1.0)
                spools[n % HOSTS].append_rewards([reward]) if n % 50 else spool.append_rewards([reward, reward])
        for host, spool in enumerate(spools):
            ship(spool, w.store, host=f"host{host}")
            spool.close()
    yield folder
    import ray

    ray.shutdown()  # the engine's own cluster: other tests begin theirs


@pytest.fixture(scope="module")
def here(logged, tmp_path_factory):
    """What joining in this process comes to: the state, and the account."""
    with pytest.MonkeyPatch.context() as patch:
        w, told = joined(logged, tmp_path_factory.mktemp("here") / "local", patch, "local")
    assert told["decisions_in"] == EVENTS * 4 // 5 // HOSTS * HOSTS
    assert len(state(w)) == HOURS + 1
    return state(w), told


def joined(logged, folder, patch, engine, *, beside=None, most=0):
    """The app's workspace once all hours are joined, and the account; hours of more than `most` decisions by shards."""
    shutil.copytree(logged, folder)
    patch.setenv("CROUPIER_ENGINE", engine)
    patch.setenv("CROUPIER_JOIN_ROWS", str(most))
    w = declare(folder, patch)
    ended = threading.Event()
    with clock.at(NOW):
        other = threading.Thread(target=lambda: beside(w, ended) if beside else None)
        other.start()
        found = build.join("shop", *map(str, SPAN.values()))
        ended.set()
        other.join()
    return w, found


def state(w):
    """Version, rows, account and key of each hour, which has the digest of its bytes; and all rows."""
    rows = read_interactions(w.store, **SPAN)
    of = {hour: (v.version, v.rows, v.account, v.data) for hour, v in newest(w.store, **SPAN).items()}
    return of | {"rows": rows.to_dicts()}


def seen(job):
    """The processes of the cluster that are at such a job now."""
    return [p for p in psutil.Process().children(recursive=True) if job in " ".join(p.cmdline())]


def kills(_, ended):
    """Kills the first process of the cluster that is seen to join an hour."""
    while not KILLED and not ended.wait(0.001):
        for process in seen("joined_hour")[:1]:
            process.kill()
            KILLED.append(process.pid)


def test_rows_accounts_and_versions_are_those_of_one_process(logged, here, tmp_path, monkeypatch):
    there, said = joined(logged, tmp_path / "ray", monkeypatch, "ray")
    assert (state(there), said) == here
    keys = set(there.store.list("interactions/"))
    with clock.at(NOW):
        again = by_engine.join(there, logged_hours(there.store, **SPAN), now=from_us(NOW) + timedelta(minutes=1))
    assert again.to_dict() == said
    assert set(there.store.list("interactions/")) == keys, "no version more"
    killed, heard = joined(logged, tmp_path / "killed", monkeypatch, "ray", beside=kills)
    assert len(KILLED) == 1 or EVENTS < 1_000_000, "small hours may be joined before one is seen"
    assert (state(killed), heard) == here
    assert {v.version for v in newest(killed.store, **SPAN).values()} == {1}


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two nodes, and the one that may die."""
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()  # that of the test before
    two = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    mortal = two.add_node(num_cpus=1)
    two.wait_for_nodes()
    monkeypatch.setenv("CROUPIER_RAY", two.address)
    yield two, mortal
    ray.shutdown()
    two.shutdown()


def test_hours_by_shard_are_those_of_one_process_with_a_node_killed_too(logged, here, cluster, tmp_path, monkeypatch):
    two, mortal = cluster
    most = here[0]["2019-11-24T10"][1] // 3
    by_shard, said = joined(logged, tmp_path / "shards", monkeypatch, "ray", most=most)
    assert (state(by_shard), said) == here
    before = by_shard.store.list("")
    assert not [key for key in before if key.startswith("shards/")]
    for some in (0, most, 2 * most):
        monkeypatch.setenv("CROUPIER_JOIN_ROWS", str(some))
        with clock.at(NOW):
            assert build.join("shop", *map(str, SPAN.values())) == said
    assert by_shard.store.list("") == before, "no version more, in however many shards"
    ended = list[float]()

    def dies(_, over):
        while not ended and not over.wait(0.001):
            if seen("joined_shard"):
                two.remove_node(mortal, allow_graceful=False)
                ended.append(1)

    killed, heard = joined(logged, tmp_path / "killed", monkeypatch, "ray", beside=dies, most=most)
    assert ended or EVENTS < 1_000_000
    assert (state(killed), heard) == here
    assert {v.version for v in newest(killed.store, **SPAN).values()} == {1}


def test_a_machine_that_sees_another_store_says_so_and_writes_nothing(tmp_path):
    """A folder that is not mounted there would else be an empty log, and an hour without events."""
    job = {"store": str(tmp_path), "endpoint": "", "reward": {}, "now": NOW, "hour": "2019-11-24T10", "most": 0}
    with pytest.raises(ValueError, match=r"store: found no event of 2019-11-24T10 in .* must see the same store"):
        by_engine.joined_hour(job)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
