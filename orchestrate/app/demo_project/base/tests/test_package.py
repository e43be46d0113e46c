"""The package can be imported."""

import unittest

import tally


class PackageTest(unittest.TestCase):
    def test_says_what_it_is(self) -> None:
        self.assertIn("words", tally.__doc__ or "")
