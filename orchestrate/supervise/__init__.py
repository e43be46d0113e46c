"""Every agent, setup command and check runs under a supervisor: a small child of ours that owns all it starts.

Engine side: door (start, signal, end), record (how it ended), orphans (what a dead engine left), probe (what holds here).
Child side: child (the supervisor), reaper (the parent of the command's tree), relay, files, system; standard library only,
as few modules as possible, for one is started with each command. wire is common to both.

Invariant: nothing of a command's tree is alive once its record is told or its lock is free.
"""
