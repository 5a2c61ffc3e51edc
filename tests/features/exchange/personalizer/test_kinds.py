"""Each file of a saved folder is known by what it holds, as people save it; of what cannot be read the reason is said."""

import gzip
import json

import pytest

from croupier.features.exchange.personalizer.folder import lines, look
from croupier.features.exchange.personalizer.kinds import look_at

EVENT = json.dumps({"EventId": "e1", "c": {"_multi": []}, "device": "téléphone"}, ensure_ascii=False)
SERVICE, POLICY = (
    json.dumps({"rewardWaitTime": "PT5M"}, indent=1),
    json.dumps({"name": "x", "arguments": "--epsilon 0.1"}),
)
TORN = EVENT[:20]
BOM = "\ufeff"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (EVENT, "log"), (BOM + EVENT, "log"), (f"{TORN}\n{EVENT}\n", "log"), (f"\r\n\r\n{EVENT}\r\n", "log"), (f"7\n{EVENT}", "log"),
        (SERVICE, "service"), (BOM + SERVICE, "service"), (POLICY, "policy"), (BOM + POLICY, "policy"),
        ('{"result": [1, 2]}', "other"), ("[]", "other"), (TORN, "other"), ("", "other"), (" \n", "other"),
    ],
)  # fmt: skip
def test_a_file_is_what_it_holds(tmp_path, text, kind):
    path = tmp_path / "x.json"
    path.write_bytes(text.encode())
    found = look_at(path)
    assert (found.kind, bool(found.why)) == (kind, kind == "other")
    assert found.settings == (json.loads(text.removeprefix(BOM)) if kind in ("service", "policy") else {})


@pytest.mark.parametrize(
    ("name", "raw", "why"),
    [
        ("a.json", b"", "not kept: it is empty"),
        ("a.json", EVENT.encode("latin-1"), "nothing of it was taken: found no JSON in UTF-8 ("),
        ("a.json", TORN.encode(), "nothing of it was taken: found no JSON in UTF-8 ("),
        ("a.json", EVENT.encode("utf-16"), "nothing of it was taken: found UTF-16 or other bytes: save it as UTF-8"),
        ("a.json", gzip.compress(EVENT.encode()), "nothing of it was taken: found a gzip file, expected JSON: unpack"),
        ("a.json", b'{"result": 1}', "not kept: found other JSON, expected settings (rewardWaitTime), "),
        ("notes.txt", EVENT.encode(), "not kept: its name has none of the endings .json, .jsonl"),
        ("current.vw", b"\x06\x00\x00\x009.11\x00", "not kept: a model of VW is no release"),
        ("model", b"\x07\x00\x00\x009.11.0\x00rest", "not kept: a model of VW is no release"),
    ],
)
def test_of_what_is_not_taken_the_reason_is_said(tmp_path, name, raw, why):
    (tmp_path / name).write_bytes(raw)
    assert look_at(tmp_path / name).why.startswith(why)


def test_no_line_of_a_log_is_lost_for_the_look_of_its_first(tmp_path):
    (tmp_path / "a.json").write_bytes((BOM + f"{TORN}\n{EVENT}\n{EVENT}").encode())
    (tmp_path / "b.json").write_bytes((BOM + EVENT).encode())
    (tmp_path / ".DS_Store").write_bytes(b"\0\1")
    (tmp_path / "evaluation.json").write_bytes(b"[1]")
    saved = look(tmp_path)
    assert [path.name for path in saved.logs] == ["a.json", "b.json"]
    assert [path.name for path in saved.others] == ["evaluation.json"]
    assert b"".join(lines(saved.logs)).decode() == f"{TORN}\n{EVENT}\n{EVENT}\n{EVENT}\n"


def test_a_folder_without_a_log_says_what_its_files_are(tmp_path):
    (tmp_path / "log.json").write_bytes(EVENT.encode("utf-16"))
    with pytest.raises(
        ValueError, match=r"found no log of Personalizer .*log\.json \(nothing of it was taken: found UTF-16"
    ):
        look(tmp_path)
