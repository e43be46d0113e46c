"""`python -m orchestrate.cli`: the same as the installed command, where that is not on PATH."""

from __future__ import annotations

import sys

from orchestrate.cli import main

sys.exit(main())
