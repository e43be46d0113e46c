"""orchestrate: a list of features with dependencies becomes one green branch.

Importing this package loads nothing else; every part is imported where it is used.
"""

__version__ = "0.1.0"
