"""Two checkouts' benchmarks of the same name, in turn on one machine, so that both see the same minutes of it.

`python -m tests.benchmarks.alternate OTHER [--times 3] [--files bench_serving_vw bench_serving] [--out FILE.json]`

OTHER is a checkout of another commit, with a `.venv` of its own. Each run is a process of its own checkout; which of the
two comes first changes from time to time. Printed is, for each row that both have, the median of our figures, of
theirs, and of the ratios ours / theirs of each pair of runs, with the least and the largest ratio.
"""

import argparse
import json
import os
import statistics
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[2]
RUN = (
    "import json, sys; from pathlib import Path; from tests.benchmarks.__main__ import HERE, measure; "
    "Path(sys.argv[2]).write_text(json.dumps(measure(HERE / (sys.argv[1] + '.py'))))"
)
Figures = dict[str, float]


def measured(tree: Path, file: str, out: Path) -> Figures:
    """What a checkout's own benchmark file says, by row: its figure, and the peer's of the same run."""
    command = [str(tree / ".venv" / "bin" / "python"), "-c", RUN, file, str(out)]
    subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}, check=True)
    rows: list[dict[str, Any]] = json.loads(out.read_text())
    named = {f"{row['name']}; {row['workload']}; {row['unit']}": row for row in rows}
    return {name: row["ours"] for name, row in named.items()} | {
        f"{name} [peer]": row["other"] for name, row in named.items()
    }


def compared(pairs: list[tuple[Figures, Figures]]) -> dict[str, dict[str, float]]:
    """Medians of ours, of theirs and of the ratio within a pair, of each row that every run has."""
    shared = [name for name in pairs[0][0] if all(name in side for pair in pairs for side in pair)]
    table = {}
    for name in shared:
        ratios = [ours[name] / theirs[name] for ours, theirs in pairs]
        table[name] = {
            "ours": statistics.median(ours[name] for ours, _ in pairs),
            "theirs": statistics.median(theirs[name] for _, theirs in pairs),
            "ratio": statistics.median(ratios), "least": min(ratios), "largest": max(ratios),
        }  # fmt: skip
    return table


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("other", type=Path)
    asked.add_argument("--times", type=int, default=3)
    asked.add_argument("--files", nargs="+", default=["bench_serving_vw", "bench_serving"])
    asked.add_argument("--out", type=Path, default=HERE / "var" / "bench" / "alternate.json")
    chosen = asked.parse_args()
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    trees = {"ours": HERE, "theirs": chosen.other.resolve()}
    pairs: list[tuple[Figures, Figures]] = []
    for time in range(chosen.times):
        found: dict[str, Figures] = {"ours": {}, "theirs": {}}
        for file in chosen.files:
            for side in ("ours", "theirs") if time % 2 == 0 else ("theirs", "ours"):
                found[side] |= measured(trees[side], file, chosen.out.with_suffix(f".{side}.{file}.{time}.json"))
        pairs.append((found["ours"], found["theirs"]))
    table = compared(pairs)
    chosen.out.write_text(json.dumps(table, indent=1))
    for name, row in table.items():
        print(
            f"{row['ratio']:.2f} ({row['least']:.2f}–{row['largest']:.2f})  {row['ours']:.4g} / {row['theirs']:.4g}  {name}"
        )


if __name__ == "__main__":
    main()
