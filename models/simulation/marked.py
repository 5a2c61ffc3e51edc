"""Tables in a Markdown page that a command remakes: what stands between `<!-- name -->` and `<!-- /name -->`."""

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Puts the text between the marks of `name`. Raises ValueError where the page lacks them."""
    opens, closes, old = f"<!-- {name} -->", f"<!-- /{name} -->", page.read_text()
    if opens not in old or closes not in old:
        raise ValueError(f"{page}: found no {opens} … {closes}, expected both marks where the table belongs")
    head, _, rest = old.partition(opens)
    page.write_text(f"{head}{opens}\n{text}{closes}{rest.partition(closes)[2]}")
