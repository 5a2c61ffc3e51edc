"""python -m croupier.features.reference: writes features/APP_TOML.md."""

from pathlib import Path

from croupier.features.reference.page import markdown

if __name__ == "__main__":
    (Path(__file__).parents[1] / "APP_TOML.md").write_text(markdown(), encoding="utf-8")
