"""The one door to child processes: run to the end, or start and lead a whole tree. See run_command and Tree."""
