"""What is shown: pure folds of the log. No clock, no I/O; the same log gives the same answer."""
