"""`croupier simulate …`: all simulators under one name."""

from serving.commands.gate import simulate
from serving.commands.learning import simulate_learning
from serving.commands.rollout import simulate_rollout

simulate.command("learning")(simulate_learning)
simulate.command("rollout")(simulate_rollout)
