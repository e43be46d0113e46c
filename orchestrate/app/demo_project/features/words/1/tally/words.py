"""Splits a text into its words."""

import re
from collections.abc import Iterator

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def words(text: str) -> Iterator[str]:
    """The words in order; apostrophes inside a word belong to it."""
    for match in WORD.finditer(text):
        yield match.group()
