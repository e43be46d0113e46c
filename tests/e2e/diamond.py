"""Four features in a diamond: `top` imports the code of `left` and `right`, and both import `base`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.e2e.project import Json

Play = Sequence[Json | str]
"""What the scripted agent does in one invocation. See docs/scripted-agent.md."""

FILES = {
    "base": "VALUE = 1\n",
    "left": "from base import VALUE\n\nLEFT = VALUE + 1\n",
    "right": "from base import VALUE\n\nRIGHT = VALUE + 2\n",
    "top": "from left import LEFT\nfrom right import RIGHT\n\nTOTAL = LEFT + RIGHT\n",
}
"""Right content of `<feature>.py`."""

CHECKS = {
    "base": "import base; assert base.VALUE == 1",
    "left": "import left; assert left.LEFT == 2",
    "right": "import right; assert right.RIGHT == 3",
    "top": "import left, right, top; assert top.TOTAL == left.LEFT + right.RIGHT == 5",
}

_NEEDS = {"base": [], "left": ["base"], "right": ["base"], "top": ["left", "right"]}


def features(**more: Json) -> list[Json]:
    """The feature list's entries; `more` adds keys to the feature of that name."""
    return [
        {
            "id": name,
            "name": f"The {name} of it",
            "prompt": f"Write {name}.py.",
            "depends_on": _NEEDS[name],
            "verify": [{"name": f"{name} is right", "run": f'python3 -c "{CHECKS[name]}"'}],
            **more.get(name, {}),
        }
        for name in FILES
    ]


def write(name: str) -> Json:
    """The step of a script that does the feature's work."""
    return {"write": {"path": f"{name}.py", "text": FILES[name]}}


def script(**plays: Sequence[Play]) -> Json:
    """A script in which every feature is done at once, but those that are given otherwise."""
    return {**{name: [[write(name)]] for name in FILES}, **plays}
