"""Who may name an event cannot choose its arm: the draw's salt is secret, per release, and kept in the release."""

from croupier.features.ids import uniform01
from croupier.features.log.spool import Spool
from croupier.features.spec import RewardSpec
from croupier.features.store.storage import open_store
from croupier.models.baselines import Uniform
from croupier.serving.contract.requests import Request
from croupier.serving.decide.replay import loader, replay
from croupier.serving.decide.selector import Selector
from croupier.serving.release import bundle, bundle_store
from tests.serving import apps


def write(folder, number):
    app = apps.sample()
    return bundle.write_release(
        folder,
        number=number,
        champion=Uniform(),
        candidate=None,
        encoder=app.encoder,
        arms=app.arms,
        floor=0.02,
        meta={},
    )


def wished(salt, n):
    """Event ids that draw the first of four arms, by a salt that one believes."""
    return [e for i in range(20 * n) if uniform01(salt, e := f"mine-{i}") < 0.25][:n]


def test_an_arm_cannot_be_wished_for(tmp_path):
    """By the number of the release alone 50 of 50 could."""
    write(tmp_path / "1", 1)
    spool = Spool(tmp_path / "log.db", durability="NORMAL")
    live = Selector(bundle.load(tmp_path / "1"), recorder=spool, rollout=None, unit_key="k")
    arms = ["reel-01", "reel-02", "reel-03", "reel-04"]
    asked = [Request(unit_id="u", context={}, arms=arms, arm_context=(), event_id=e) for e in wished("release-1", 200)]
    got = [a.arm for a in live.select(asked)]
    spool.close()
    assert got.count("reel-01") < 100  # expected 50; 100 has a probability below 1e-15


def test_each_release_has_a_salt_of_its_own_that_other_hosts_and_replay_read_from_it(tmp_path):
    salts = {write(tmp_path / str(n), n)["salt"] for n in (1, 2)} | {write(tmp_path / "again" / "1", 1)["salt"]}
    assert len(salts) == 3
    assert min(map(len, salts)) == 64
    store, spool = open_store(str(tmp_path / "store")), Spool(tmp_path / "log.db", durability="NORMAL")
    bundle_store.upload(store, tmp_path / "1")
    live = Selector(bundle.load(tmp_path / "1"), recorder=spool, rollout=None, unit_key="k")
    (answer,) = live.select([Request(unit_id="u", context={}, arms=["reel-01", "reel-02"], arm_context=())])
    load = loader(tmp_path / "other-host", lambda number, folder: bundle_store.download(store, number, folder))
    found = replay(spool.find([answer.event_id])[answer.event_id], load=load, spool=spool, spec=RewardSpec())
    spool.close()
    assert [f.step for f in found][-2:] == ["draw", "propensity"]
    assert all(f.holds for f in found)


def test_a_release_of_an_earlier_version_keeps_its_salt(tmp_path):
    apps.write(tmp_path, Uniform(), number=7)
    assert bundle.load(tmp_path / "triton" / "select_arm" / "7").salt == "release-7"
