"""Tests of tally; run them with `python3 -m unittest -q`."""
