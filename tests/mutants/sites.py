"""Where a module can be mutated: every place at which an operator of cosmic-ray applies, but not in annotations, whose
changes no program can feel."""

import ast
from collections import defaultdict
from random import Random

import cosmic_ray.plugins
import parso
from cosmic_ray.ast import ast_nodes
from cosmic_ray.mutating import mutate_code

Site = tuple[tuple[int, int], tuple[int, int]]  # (line, column) of its start and end
Mutant = tuple[str, int]  # an operator's name, and its how many-th occurrence
ASK_FOR_NAMES = ("VariableReplacer", "VariableInserter")  # operators that need to be told which variable


def sites(source: str) -> dict[Site, list[Mutant]]:
    """Every place, with the mutants that are possible there."""
    tree, found, silent = parso.parse(source), defaultdict(list), _annotations(source)
    for name in cosmic_ray.plugins.operator_names():
        if any(part in name for part in ASK_FOR_NAMES):
            continue
        operator = cosmic_ray.plugins.get_operator(name)()
        occurrence = 0
        for node in ast_nodes(tree):
            for start, end in operator.mutation_positions(node):
                if not any(first <= start and end <= last for first, last in silent):
                    found[start, end].append((name, occurrence))
                occurrence += 1
    return found


def sample(source: str, n: int, seed: int) -> list[tuple[Site, Mutant, str]]:
    """One random mutant at each of n random places: (place, mutant, its code). All places where there are fewer."""
    rng, found = Random(seed), sites(source)
    drawn = rng.sample(sorted(found), min(n, len(found)))
    chosen = [(site, rng.choice(found[site])) for site in drawn]
    made = [
        (site, each, mutate_code(source, cosmic_ray.plugins.get_operator(each[0])(), each[1])) for site, each in chosen
    ]
    return [(site, each, code) for site, each, code in made if code is not None and code != source]


def _annotations(source: str) -> list[Site]:
    marked = []
    for node in ast.walk(ast.parse(source)):
        marked += [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):  # an alias of types: Ends = A | None
            marked += [node.value] if isinstance(node.value.op, ast.BitOr) else []
    return [((m.lineno, m.col_offset), (m.end_lineno, m.end_col_offset)) for m in marked if m is not None]
