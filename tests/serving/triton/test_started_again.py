"""A Triton that gives its own start up since the machine is busy, or never comes up, is started again; one that cannot
work is not."""

import shlex
from dataclasses import replace

import pytest

from croupier.models.baselines import Uniform
from croupier.serving.client.client import Client
from croupier.serving.triton import binary
from croupier.serving.triton.server import HUNG, SLOW_STUBS, STARTS, EndedWhileStarting, Ports, TritonServer
from tests.serving import apps

BUSY = f"terminate called after throwing an instance of '{SLOW_STUBS}'"


@pytest.fixture
def dying(tmp_path, monkeypatch):
    """Makes the server's first starts end with these words, and counts all."""
    found, counted = binary.find, tmp_path / "starts"

    def plan(*words):
        lines = [f"n=$(wc -l < {counted}); echo start >> {counted}"]
        lines += [f"[ $n = {n} ] && {{ echo {shlex.quote(said)} >&2; exit 134; }}" for n, said in enumerate(words)]
        counted.write_text("")

        def instead(runtime):
            real = found(runtime)
            script = tmp_path / "tritonserver"
            script.write_text("\n".join(["#!/bin/bash", *lines, f'exec {shlex.quote(str(real.path))} "$@"\n']))
            script.chmod(0o755)
            return replace(real, path=script)

        monkeypatch.setattr(binary, "find", instead)
        return counted

    return plan


@pytest.mark.slow
def test_a_start_that_triton_gave_up_is_tried_again(dying, tmp_path):
    counted = dying(BUSY)
    apps.write(tmp_path / "home", Uniform())
    with (
        TritonServer(tmp_path / "home", ports=Ports.free()) as triton,
        Client(triton.grpc, deadline_ms=60_000, fallback=None) as client,
    ):
        chosen = client.select(unit_id="u7", context={}, arms=["reel-01", "reel-02"])
    assert (chosen.propensity, chosen.release) == (0.5, 1)
    assert counted.read_text() == "start\n" * 2


@pytest.mark.parametrize(("words", "starts"), [([BUSY] * 5, STARTS), (["no such model"] * 5, 1)])
def test_it_ends_with_what_triton_said(dying, tmp_path, words, starts):
    counted = dying(*words)
    apps.write(tmp_path / "home", Uniform())
    with pytest.raises(EndedWhileStarting, match="ended while starting") as refused:
        TritonServer(tmp_path / "home", ports=Ports.free()).start()
    assert words[0] in str(refused.value)
    assert counted.read_text() == "start\n" * starts


def test_one_that_never_comes_up_is_tried_again(dying, tmp_path, monkeypatch):
    counted = dying(*["a stub is waited for"] * 5)
    monkeypatch.setenv("BASH_ENV", str(tmp_path / "hang"))
    (tmp_path / "hang").write_text("exit() { sleep 600; }\n")
    apps.write(tmp_path / "home", Uniform())
    with pytest.raises(EndedWhileStarting, match=HUNG) as refused:
        TritonServer(tmp_path / "home", ports=Ports.free()).start(ready_seconds=1.0)
    assert "a stub is waited for" in str(refused.value)
    assert counted.read_text() == "start\n" * STARTS
