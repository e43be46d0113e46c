"""Splitting a text into words."""

import unittest

from tally.words import words


class WordsTest(unittest.TestCase):
    def test_punctuation_is_no_word(self) -> None:
        self.assertEqual(list(words("Well, well – don't!")), ["Well", "well", "don't"])

    def test_no_text_has_no_words(self) -> None:
        self.assertEqual(list(words(" 42 ")), [])
