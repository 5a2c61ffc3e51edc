"""`croupier simulate allocate`: what a token budget earns in a world of known truth."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from croupier.serving.commands.telling import Out, prepared, to_stdout, written

console = Console(markup=False)


def simulate_allocate(
    *,
    seeds: Annotated[int, typer.Option(help="runs")] = 10,
    questions: Annotated[int, typer.Option(help="whole-request rewards that a run learns from")] = 30_000,
    first_seed: Annotated[int, typer.Option(min=0, help="the runs' seeds count from here")] = 0,
    out: Out = None,
    picture: Annotated[Path | None, typer.Option(dir_okay=False, help="draw the curves here, .svg or .png")] = None,
) -> None:
    """Questions about images, 64 to 400 tokens a patch under a total: tokens saved at the accuracy of 400 everywhere,
    accuracy gained at the tokens of 128 everywhere, and the gap to the clairvoyant allocation."""
    from croupier.models.simulation.budgets.allocation import simulate

    if seeds < 1 or questions < 100:
        raise ValueError(f"found {seeds} seeds and {questions} questions, expected 1 seed and 100 questions at least")
    prepared(out, picture)
    found = simulate(seeds=seeds, questions=questions, first_seed=first_seed)
    if not to_stdout(out):
        console.print(_table(found["each_seed"]))
        console.print(_sentence(found))
    if picture is not None:
        from croupier.models.simulation.budgets.allocation_picture import draw

        draw(found["each_seed"], picture)
    written(out, found)


def _table(each: list[dict[str, Any]]) -> Table:
    """A row a seed."""
    columns = ("fixed 128", "learnt at 128", "clairvoyant at 128", "fixed 400", "tokens saved", "over budget")
    table = Table("seed", *columns, title="patches: probability of a right answer")
    for one in each:
        gain, gap = one["accuracy_gain_at_equal_tokens"], one["gap_to_clairvoyant"]
        same = one["fixed"]["128"]
        accuracies = (same, same + gain, same + gain + gap, one["fixed"]["400"])
        saved = f"{one['tokens_saved_at_equal_accuracy']:.0%}"
        table.add_row(str(one["seed"]), *(f"{a:.3f}" for a in accuracies), saved, str(one["over_budget"]))
    return table


def _sentence(found: dict[str, Any]) -> str:
    """The means."""
    return (
        f"{found['tokens_saved_at_equal_accuracy']:.1%} fewer tokens at the accuracy of 400 everywhere; "
        f"{found['accuracy_gain_at_equal_tokens']:+.3f} at the tokens of 128 everywhere; "
        f"{found['gap_to_clairvoyant']:.3f} below the clairvoyant there; "
        f"{found['over_budget']} of {found['requests']:,} requests over their total"
    )
