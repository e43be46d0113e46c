"""Words that are too common to be worth counting."""

STOPWORDS = frozenset("a an and are as at be by for from in is it of on or that the this to was with".split())


def is_common(word: str) -> bool:
    """Whether the word says little about its text."""
    return word.casefold() in STOPWORDS
