"""`croupier simulate …`: all simulators under one name."""

from serving.commands.gate import simulate
from serving.commands.learning import simulate_learning

simulate.command("learning")(simulate_learning)
