"""What one feature of a foreign log probably is, from a sample of its values: TOML to declare it, and why."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from croupier.features.encoding.fitted import MAX_WORDS, seconds_of
from croupier.features.encoding.vocabulary import text_of
from croupier.features.exchange.cells import unmeasured
from croupier.features.exchange.coerce import number_of
from croupier.features.schema import MAX_TEXT

FEW = 10  # distinct whole numbers up to which they are taken for categories
DISTINCT = 0.5  # distinct values a row from which text is taken for an identifier
IDENTIFIER = "look like an identifier"
WORDY = 4.0  # words a text, on average, from which texts are taken for prose
_ID_NAME = re.compile(r"(.*[_. -])?(id|uid|uuid|guid|key|nr|no|number|hash)|.*[a-z](Id|ID|Key|Nr|No)", re.ASCII)

Guessed = tuple[dict[str, list[str]], str]  # feature → its TOML lines (none: left out), and why


def guess_feature(name: str, values: Sequence[Any]) -> Guessed:
    """Guesses how to declare a feature. `values` has an entry for each row, None where missing; an empty list is
    missing too."""
    seen = [v for v in values if v is not None and v not in ([], ())]
    if not seen:
        return {}, "left out: no value in the sample"
    if any(isinstance(v, list | tuple) for v in seen):
        return _lists(name, seen)
    if any(isinstance(v, dict) for v in seen):
        return {}, "left out: nested values"
    if len({text_of(v) for v in seen}) == 1 and len(seen) > 1:
        return {}, f"left out: always {text_of(seen[0])}"
    told = [v for v in seen if not unmeasured(v)]
    numbers = [n for n in map(number_of, told) if n is not None]
    if numbers and len(numbers) == len(told):
        return _numbers(name, numbers, texts=sum(isinstance(v, str) for v in told))
    return _texts(name, [str(text_of(v)) for v in seen])


def _numbers(name: str, numbers: Sequence[float], *, texts: int) -> Guessed:
    lines, note = _numeric(np.array(numbers, np.float64))
    if len(numbers) >= 20 and numbers[0] in (0, 1) and np.all(np.diff(numbers) == 1):
        return {}, f"left out: it counts the rows, from {numbers[0]:g} to {numbers[-1]:g}"
    if _ID_NAME.fullmatch(name) and len(numbers) >= 20 and len(set(numbers)) > DISTINCT * len(numbers):
        return {}, f"left out: {len(set(numbers))} different numbers in {len(numbers)} rows {IDENTIFIER}"
    if not texts:
        return {name: lines}, note
    note += f"; {texts} of {len(numbers)} were written as text"
    if lines[0] != 'type = "numeric"':
        return {name: lines}, note
    return {name: [*lines, "strings = true"]}, f"{note}, and may be sent so"


def _texts(name: str, texts: Sequence[str]) -> Guessed:
    if all(map(_time, texts)):
        return {name: ['type = "timestamp"']}, "times: hour of the day and day of the week"
    distinct = len(set(texts))
    if len(texts) >= 20 and distinct > DISTINCT * len(texts) and _words(texts) >= WORDY:
        return {}, (
            f"left out: free text, {_words(texts):.0f} words on average, which the text encoder of a later version "
            "reads; until then send tags, or an embedding of your own"
        )
    if len(texts) >= 20 and distinct > DISTINCT * len(texts):
        return {}, f"left out: {distinct} different texts in {len(texts)} rows {IDENTIFIER}"
    if max(map(len, texts)) > MAX_TEXT:
        return {}, f"left out: texts of up to {max(map(len, texts))} characters, a category has at most {MAX_TEXT}"
    return {name: ['type = "categorical"', _room(distinct)]}, f"{distinct} categories"


def _words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / len(texts)


def _room(distinct: int) -> str:
    """A vocabulary's size, with room for what the sample did not have."""
    return f"max_vocabulary = {max(256, 1 << distinct.bit_length())}"


def _lists(name: str, seen: Sequence[Any]) -> Guessed:
    """Numbers of one length are an embedding; words are tags."""
    lists = [v for v in seen if isinstance(v, list | tuple)]
    if len(lists) < len(seen):
        return {}, f"left out: {len(lists)} lists among {len(seen)} values, the others are none"
    items, lengths = [x for v in lists for x in v], {len(v) for v in lists}
    if all(isinstance(x, int | float) and not isinstance(x, bool) for x in items):
        if len(lengths) == 1:
            return {name: ['type = "embedding"', f"length = {min(lengths)}"]}, "lists of numbers, an embedding"
        return {}, (
            f"left out: lists of {min(lengths)} to {max(lengths)} numbers; an embedding has one length: bring "
            "them to it, or give their mean"
        )
    if not all(isinstance(x, str) for x in items):
        return {}, "left out: lists of neither numbers nor words alone"
    return _tags(name, lists)


def _tags(name: str, lists: Sequence[Sequence[str]]) -> Guessed:
    counts = Counter(word for words in lists for word in set(words))
    longest, widest = max(map(len, lists)), max(map(len, counts))
    if longest > MAX_WORDS or widest > MAX_TEXT:
        return {}, (
            f"left out: lists of up to {longest} words of up to {widest} characters; tags have at most {MAX_WORDS} of "
            f"{MAX_TEXT}"
        )
    if len(lists) > 1 and all(n == len(lists) for n in counts.values()):
        return {}, f"left out: lists of words, always {', '.join(counts)}"
    note = f"lists of words (tags): a column for each of {len(counts)} words, 1 where the list holds it"
    return {name: ['type = "tags"', _room(len(counts))]}, note


def _numeric(x: Any) -> tuple[list[str], str]:
    distinct = len(np.unique(x))
    if distinct <= FEW and (x == np.round(x)).all() and len(x) > 2 * distinct and np.abs(x).max() < 1000:
        return ['type = "categorical"'], f"{distinct} different whole numbers, taken for categories"
    if x.min() >= 0 and x.mean() > 0 and x.max() > 20 * x.mean():
        return ['type = "numeric"', 'transform = "log"'], f"numbers from {x.min():g} to {x.max():g}, skewed: log"
    return ['type = "numeric"'], f"numbers from {x.min():g} to {x.max():g}"


def _time(text: str) -> bool:
    if len(text) < 10:
        return False
    try:
        return bool(np.isfinite(seconds_of(text)))
    except (ValueError, OverflowError):
        return False
