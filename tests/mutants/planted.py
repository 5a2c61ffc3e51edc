"""Errors that a person planted and that all tests passed once: (file, what stands there, what is planted, the test that
notices). `python -m tests.mutants --planted` plants each of them again."""

JOIN, DURABLE = "tests/features/interactions/test_join.py", "tests/features/store/test_storage_durability.py"
LOOKUP = "features/log/index/lookup.py"
WAS_MISSED = "tests/serving/evidence/test_planted_errors.py"

PLANTED = {
    "a store's file is not synced": (
        "features/store/storage.py", "                    os.fsync(file.fileno())\n", "",
        f"{DURABLE}::test_a_file_is_synced_before_it_has_its_name_and_the_name_before_the_answer",
    ),
    "a store's folder is not synced": (
        "features/store/storage.py", "                sync_folder(target.parent)\n", "",
        f"{DURABLE}::test_a_second_write_beside_it_syncs_file_and_folder_again",
    ),
    "a new folder of a store is not synced": (
        "features/store/folders.py", "        sync_folder(folder.parent)\n", "",
        f"{DURABLE}::test_a_file_is_synced_before_it_has_its_name_and_the_name_before_the_answer",
    ),
    "a release's files are not synced": (
        "serving/release/bundle.py", "        flush(draft)\n", "", f"{WAS_MISSED}::test_every_file_of_a_release_is_synced_before_it_has_its_name",
    ),
    "a client's record has max(pmf)": (
        "serving/decide/records.py", "propensity=min(1.0, pmf[request.arms.index(arm)])", "propensity=max(pmf)",
        f"{WAS_MISSED}::test_a_clients_record_has_the_probability_of_the_arm_it_showed",
    ),
    "a guardrail's direction is inverted": (
        "serving/evidence/gather.py", 'harmful == "higher"', 'harmful == "lower"',
        f"{WAS_MISSED}::test_a_guardrail_knows_which_way_is_harm",
    ),
    "a guardrail where less is harm is taken for one where more is": (
        "serving/evidence/gather.py", 'if harmful == "higher"', "if harmful",
        f"{WAS_MISSED}::test_a_guardrail_knows_which_way_is_harm",
    ),
    "evidence of every release": (
        "serving/evidence/comparison.py", 'pl.col("release").is_in(state.releases) & ', "",
        f"{WAS_MISSED}::test_evidence_is_of_its_own_release_alone",
    ),
    "the fast loop ignores pass_probability": (
        "serving/learning/fast_loop.py", "1.0 / step.decision.pass_probability", "1.0",
        "tests/serving/learning/test_default_rewards.py::test_a_default_is_learnt_once_and_a_reward_in_its_window_corrects_it",
    ),
    "rewards are looked up an hour short before": (
        LOOKUP, 'log.hours("rewards", first - HOUR, last + REACH', 'log.hours("rewards", first, last + REACH',
        f"{JOIN}::test_a_reward_of_the_hour_before_counts_where_that_hour_itself_is_not_joined",
    ),
    "rewards are looked up an hour short after": (
        LOOKUP, "last + REACH * HOUR), REWARD)", "last + (REACH - 1) * HOUR), REWARD)",
        f"{JOIN}::test_a_reward_at_the_very_end_of_the_longest_window_counts",
    ),
}  # fmt: skip
