"""Counts how often each word occurs."""

from collections import Counter

from tally.words import words


def count(text: str) -> Counter[str]:
    """Occurrences by word, upper and lower case taken together."""
    return Counter(word.casefold() for word in words(text))
