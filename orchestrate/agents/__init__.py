"""Agents: the coding programs that do the work, each spoken to by a codec of pure functions and led by one driver."""
