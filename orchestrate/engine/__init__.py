"""The shell around the core: one loop that records and decides, and a dispatcher that carries effects to performers."""
