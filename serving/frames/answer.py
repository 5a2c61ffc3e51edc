"""What a call on a table found: for programs, for people, and for a notebook."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from croupier.features.quality.pages.page import render
from croupier.serving.frames.any_table import like


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`facts`: all that was found, as the command's `--json` has it; `table`: the same as rows, in the library of the
    table that was given; `notes`: sentences that belong to the numbers."""

    title: str
    facts: dict[str, Any]
    table: Any
    notes: tuple[str, ...]
    _rows: pl.DataFrame

    @classmethod
    def of(
        cls, title: str, facts: dict[str, Any], rows: Sequence[dict[str, Any]], notes: Sequence[str], asked: Any
    ) -> "Answer":
        """`asked` is the table that was given."""
        frame = pl.DataFrame(rows, infer_schema_length=None)
        return cls(title=title, facts=facts, table=like(frame, asked), notes=tuple(notes), _rows=frame)

    def __repr__(self) -> str:
        with pl.Config(tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True, tbl_rows=-1, tbl_cols=-1):
            return "\n".join([self.title, str(self._rows), *self.notes])

    def _repr_html_(self) -> str:
        """The answer as a notebook shows it; all of it is escaped."""
        rows = [[_shown(value) for value in row] for row in self._rows.iter_rows()]
        return render(
            "croupier.serving.frames",
            "answer.html.j2",
            title=self.title,
            columns=self._rows.columns,
            rows=rows,
            notes=self.notes,
        )


def _shown(value: Any) -> Any:
    """Numbers with six digits, as commands print them; what is not known as a dash."""
    return "–" if value is None else f"{value:.6g}" if isinstance(value, float) else value
