"""Common words."""

import unittest

from tally.stopwords import is_common
from tally.words import words


class StopwordsTest(unittest.TestCase):
    def test_only_common_words_are_common(self) -> None:
        self.assertEqual([w for w in words("The tea of China") if not is_common(w)], ["tea", "China"])
