"""The command line."""

import subprocess
import sys
import unittest


class CommandTest(unittest.TestCase):
    def test_counts_its_own_readme(self) -> None:
        done = subprocess.run([sys.executable, "-m", "tally", "README.md"], capture_output=True, text=True, check=True)
        self.assertIn("tally", done.stdout)

    def test_a_missing_file_is_refused(self) -> None:
        done = subprocess.run([sys.executable, "-m", "tally", "/no/such/file"], capture_output=True, check=False)
        self.assertEqual(done.returncode, 2)
