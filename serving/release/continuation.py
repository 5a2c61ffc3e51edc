"""What a release's `meta` says of the release before it."""

SAME_ARMS = "same_arms"  # in its `meta`: every arm of the release before is there, with the same features
