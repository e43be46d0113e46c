"""Shows the most frequent words."""

from tally.counter import count
from tally.stopwords import is_common


def report(text: str, lines: int = 10) -> str:
    """One line a word, the most frequent first, ties in alphabetical order; common words are left out."""
    counted = [(n, word) for word, n in count(text).items() if not is_common(word)]
    counted.sort(key=lambda pair: (-pair[0], pair[1]))
    return "\n".join(f"{n:6}  {word}" for n, word in counted[:lines])
