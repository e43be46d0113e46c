"""The adapter to git: worktrees, sealing, merging, publishing, cleaning up. Only `perform` knows events and effects."""
