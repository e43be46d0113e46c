"""The adapter to the user's own commands: checks and setup steps. Only `perform` knows events and effects."""
