"""Counting words."""

import unittest

from tally.counter import count


class CounterTest(unittest.TestCase):
    def test_case_makes_no_difference(self) -> None:
        self.assertEqual(count("Tea and tea"), {"tea": 2, "and": 1})
