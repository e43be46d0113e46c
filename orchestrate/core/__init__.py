"""What is decided. Pure: no clock, no I/O, no randomness; the same log always gives the same state and the same decisions."""
