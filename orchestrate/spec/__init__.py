"""What the user writes: feature lists and settings, read from files, environment and flags into plain values.

Invariant: whatever is wrong with the input is a Problem with its place and a hint, and all problems come at once.
"""
