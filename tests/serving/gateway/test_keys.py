"""The keys of the gateway: two at a time, changed while it runs, and no way in without one."""

import contextlib
import http.client

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from croupier.serving.gateway.keys import KeyFile
from croupier.serving.gateway.options import Options
from croupier.serving.gateway.serve import serve
from croupier.serving.triton import certificates
from tests.serving.gateway.door import KEYS, Gateway, declared, key_file

NEW = "third-key-of-the-tests"


def test_both_keys_are_good_and_no_other(tmp_path):
    keys = KeyFile(key_file(tmp_path, *KEYS))
    assert all(map(keys.known, KEYS))
    assert not any(map(keys.known, ("", NEW, KEYS[0][:-1], f"{KEYS[0]} ", "# of the tests", "é")))


def test_a_key_is_changed_while_the_other_is_good(tmp_path):
    keys = KeyFile(key_file(tmp_path, *KEYS))
    key_file(tmp_path, KEYS[1], NEW)
    assert [keys.known(k) for k in (*KEYS, NEW)] == [False, True, True]


@pytest.mark.parametrize(("lines", "mode", "said"), [
    ((), 0o600, "found 0 keys"), ((*KEYS, NEW), 0o600, "found 3 keys"), (("short",), 0o600, "found a key of 5 characters"),
    (("with a space in it",), 0o600, "found a key with a space in place 5"), (("é" * 20,), 0o600, "ASCII"), (("x" * 257,), 0o600, "257"),
    (KEYS, 0o640, "found mode 0640, expected 0600"), (("a-key-with-ü-in-it-so",), 0o600, "a character that is not ASCII in place 12"),
    (("a-key-with-a\ttab-in-it",), 0o600, "a space in place 13"), (("a-key-with-\x01-in-it-so",), 0o600, "a control character in place 12"),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_at_the_start_and_changes_nothing_later(
    tmp_path, caplog, lines, mode, said
):
    (tmp_path / "first").mkdir()
    bad = key_file(tmp_path / "first", *lines)
    bad.chmod(mode)
    with pytest.raises(ValueError, match=said):
        KeyFile(bad)
    keys = KeyFile(path := key_file(tmp_path, *KEYS))
    bad.replace(path)
    assert keys.known(KEYS[0])
    assert said in caplog.text
    key_file(tmp_path, NEW)
    assert [keys.known(k) for k in (KEYS[0], NEW)] == [False, True], "and a sound one counts again"


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_named(tmp_path, coding):
    path = key_file(tmp_path, *KEYS)
    path.write_bytes(path.read_text().encode(coding))
    with pytest.raises(ValueError, match="keys: found a byte order mark at its beginning, expected none"):
        KeyFile(path)


def test_a_file_that_is_gone_opens_nothing(tmp_path):
    keys = KeyFile(path := key_file(tmp_path, *KEYS))
    path.unlink()
    assert [keys.known(k) for k in (KEYS[0], "", NEW)] == [True, False, False]
    with pytest.raises(ValueError, match="found no file of keys"):
        KeyFile(path)


@pytest.mark.medium
def test_every_path_asks_for_a_key_and_follows_the_file(tmp_path):
    keys = key_file(tmp_path, *KEYS)
    with Gateway(declared(tmp_path), "--keys", str(keys)) as gateway:
        paths = (
            "/openapi.json",
            "/personalizer/v1.0/status",
            "/v1/apps/shop/health",
            "/v1/apps/shop/releases",
            "/nowhere",
        )
        for path in paths:
            assert [gateway.call("GET", path, key=key)[0] for key in ("", NEW)] == [401, 401], path
            assert gateway.call("GET", path, key=KEYS[1])[0] == (404 if path == "/nowhere" else 200)
        bearer = {"Authorization": f"Bearer {KEYS[0]}"}
        assert gateway.call("GET", "/openapi.json", headers=bearer)[0] == 200
        key_file(tmp_path, KEYS[1], NEW)
        assert [gateway.call("GET", "/openapi.json", key=key)[0] for key in (*KEYS, NEW)] == [401, 200, 200]
        key_file(tmp_path)
        assert [gateway.call("GET", "/openapi.json", key=key)[0] for key in (KEYS[0], KEYS[1], "")] == [401, 200, 401]
        assert "the keys that were read last stay good" in gateway.said
        assert "a key is asked for" in gateway.said
        assert not any(key in gateway.said for key in (*KEYS, NEW))


@pytest.mark.medium
@pytest.mark.parametrize(
    ("which", "what", "said"),
    [
        ("KEY", "words", "expected the private key of"), ("KEY", "other.key", "expected the private key of"),
        ("KEY", "locked.key", "without a password"), ("KEY", "server.crt", "expected the private key of"),
        ("CERT", "words", "expected certificates in PEM"), ("CERT", "server.key", "expected certificates in PEM"),
        ("CLIENTS", "words", "expected certificates in PEM"),
    ],
)  # fmt: skip
def test_a_file_of_tls_that_is_another_is_named_before_anything_listens(
    tmp_path, monkeypatch, capsys, *, which, what, said
):
    tls = tmp_path / "tls"
    certificates.make(tls, ["127.0.0.1"], ["other"])
    (tls / "words").write_text("no key at all\n")
    key = load_pem_private_key((tls / "server.key").read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tls / "locked.key").write_bytes(locked)
    files = {"CERT": "server.crt", "KEY": "server.key"} | {which: what}
    for name, file in files.items():
        monkeypatch.setenv(f"CROUPIER_TLS_{name}", str(tls / file))
    monkeypatch.setenv("CROUPIER_VAR", str(declared(tmp_path / "var")))
    with pytest.raises(ValueError, match=rf"^CROUPIER_TLS_{which}: found {tls / what} not to be used .*{said}"):
        serve(Options(app="shop"))
    assert capsys.readouterr().out == ""


@pytest.mark.medium
def test_with_a_certificate_it_speaks_tls_alone(tmp_path):
    certificates.make(tmp_path / "tls", ["127.0.0.1"], [])
    files = {"CROUPIER_TLS_CERT": "server.crt", "CROUPIER_TLS_KEY": "server.key", "CROUPIER_TLS_ROOT": "ca.crt"}
    files = {name: str(tmp_path / "tls" / file) for name, file in files.items()}
    with Gateway(declared(tmp_path), "--keys", str(key_file(tmp_path, *KEYS)), **files) as gateway:
        status = [gateway.call("GET", "/personalizer/v1.0/status", key=key)[0] for key in (KEYS[0], "")]
        assert (gateway.endpoint[:8], status) == ("https://", [200, 401])
        plain = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        with contextlib.closing(plain):
            plain.request("GET", "/personalizer/v1.0/status")
            with pytest.raises((http.client.HTTPException, OSError)):
                plain.getresponse()
