"""Reading the texts."""

import tempfile
import unittest
from pathlib import Path

from tally.files import read_all


class FilesTest(unittest.TestCase):
    def test_texts_are_joined_by_a_line_break(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            one, two = Path(directory, "one"), Path(directory, "two")
            one.write_text("eins", encoding="utf-8")
            two.write_text("zwei", encoding="utf-8")
            self.assertEqual(read_all([str(one), str(two)]), "eins\nzwei")

    def test_a_missing_file_is_an_error(self) -> None:
        with self.assertRaises(OSError):
            read_all(["/does/not/exist"])
