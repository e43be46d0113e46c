"""What it costs, each figure against a named baseline measured in the same run. Started by `scripts/bench`."""
