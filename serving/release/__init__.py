"""What is served and to whom: releases, and the state of the rollout."""
