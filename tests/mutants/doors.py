"""Doors left open: one guard taken out at a time, and the test that notices, as in planted.py. None
of these ever passed; they are planted so that it stays so."""

SIGNED = "tests/serving/release/test_signature.py"
PROVEN, OWNED = "tests/serving/release/test_provenance.py", "tests/features/store/test_owner.py"

DOORS = {
    "any signature is genuine": (
        "serving/release/signature.py", "        return False\n    return True", "        return True\n    return True",
        f"{SIGNED}::test_our_key_under_a_foreign_signature_is_refused",
    ),
    "foreign code is loaded": (
        "serving/release/provenance.py", "if found not in FORMER_MODELS |", "if not found and found not in FORMER_MODELS |",
        f"{PROVEN}::test_foreign_code_is_refused_whatever_the_pointer_says",
    ),
    "the pointer's digest is not held against the release": (
        "serving/release/provenance.py", 'if expected not in ("", manifest["digest"]):', "if not expected and expected:",
        f"{PROVEN}::test_another_folder_under_the_current_number_is_refused_by_the_pointers_digest",
    ),
    "two apps share a store": (
        "features/store/owner.py", 'owner["app"] != app', "not app",
        f"{OWNED}::test_the_second_app_is_refused_and_nothing_of_the_first_changes",
    ),
    "a store written with another unit key is taken": (
        "features/store/owner.py", 'owner["unit_key"] != key:', "not key:",
        "tests/features/store/test_unit_key.py::test_a_store_written_with_another_key_is_noticed",
    ),
    "a secret may be read by everybody": (
        "features/store/key_file.py", "if mode & 0o077:", "if mode & 0o000:",
        "tests/serving/triton/test_closed_ports.py::test_the_secret_is_the_owners_alone_and_stays",
    ),
    "a release's salt can be known before": (
        "serving/release/bundle.py", '"salt": salt or secrets.token_hex(32)', '"salt": salt or f"release-{number}"',
        "tests/serving/decide/test_secret_draws.py",
    ),
    "an old server binds what it is told": (
        "serving/triton/binary.py", "    if loopback(host) or (", "    if host or (",
        "tests/serving/triton/test_closed_ports.py::test_an_old_server_binds_loopback_only",
    ),
    "a server without TLS and token binds what it is told": (
        "serving/triton/endpoint_security.py", "        if not self.secure:\n            found", "        if not host:\n            found",
        "tests/serving/triton/test_endpoint_security.py::test_a_new_server_binds_loopback_only_without_tls_and_token",
    ),
    "a value outside its range is taken": (
        "features/log/admission.py", "not ends[0] <= reward.value <= ends[1]:", "not ends[0] <= ends[1]:",
        "tests/serving/decide/test_rewards.py::test_what_is_not_declared_is_refused_by_name_and_counted",
    ),
    "rejects have no quota": (
        "features/log/spool_quotas.py", "        if size < room:", "        if size:",
        "tests/features/log/test_spool_quotas.py::test_rejects_beyond_their_quota_are_counted_by_reason_and_the_account_is_exact",
    ),
    "an event id answers another question": (
        "serving/decide/records.py", "        if getattr(stored, what) != getattr(sent, what):", "        if not what:",
        "tests/serving/decide/test_selector.py::test_an_event_id_of_another_question_is_refused_by_name_and_counted",
    ),
}  # fmt: skip
