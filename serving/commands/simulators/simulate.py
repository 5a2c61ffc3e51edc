"""`croupier simulate …`: all simulators under one name."""

import typer

from croupier.serving.commands.evaluation.gate import simulate_gate
from croupier.serving.commands.simulators.allocate import simulate_allocate
from croupier.serving.commands.simulators.health import simulate_changes, simulate_health, simulate_linear
from croupier.serving.commands.simulators.learning import simulate_learning
from croupier.serving.commands.simulators.loop import simulate_loop
from croupier.serving.commands.simulators.pacing import simulate_pacing
from croupier.serving.commands.simulators.pricing import simulate_pricing
from croupier.serving.commands.simulators.rollout import simulate_rollout
from croupier.serving.commands.simulators.slates import simulate_slates
from croupier.serving.commands.simulators.traffic import simulate_clock, simulate_traffic

simulate = typer.Typer(no_args_is_help=True)
simulate.command("allocate")(simulate_allocate)
simulate.command("gate")(simulate_gate)
simulate.command("health")(simulate_health)
simulate.command("learning")(simulate_learning)
simulate.command("changes")(simulate_changes)
simulate.command("linear")(simulate_linear)
simulate.command("loop")(simulate_loop)
simulate.command("pacing")(simulate_pacing)
simulate.command("pricing")(simulate_pricing)
simulate.command("rollout")(simulate_rollout)
simulate.command("slates")(simulate_slates)
simulate.command("traffic")(simulate_traffic)
simulate.command("clock")(simulate_clock)


@simulate.callback()
def _simulate() -> None:
    """On worlds of known truth: how well policies learn, how often the gate and the rollout are wrong, and the
    whole loop over a month."""
