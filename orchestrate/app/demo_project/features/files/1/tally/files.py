"""Reads the texts to be counted."""

from collections.abc import Iterable
from pathlib import Path


def read_all(paths: Iterable[str]) -> str:
    """The texts of all files, one after the other. Raises OSError for one that cannot be read."""
    return "\n".join(Path(path).read_text(encoding="utf-8") for path in paths)
