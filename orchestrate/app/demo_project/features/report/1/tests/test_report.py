"""The report."""

import unittest

from tally.report import report


class ReportTest(unittest.TestCase):
    def test_frequent_words_come_first(self) -> None:
        self.assertEqual(report("the tea, the Tea and cake"), "     2  tea\n     1  cake")

    def test_it_is_cut(self) -> None:
        self.assertEqual(len(report("one two three", lines=2).splitlines()), 2)
