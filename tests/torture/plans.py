"""What is run while things die: small plans for the scripted agent, and what must come of them.

Every play writes all of its feature's files anew, so that an agent that was cut off may go on with the next one. Before
and after each file it writes a line into a ledger outside the repository, which no engine knows: what agents really did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.project import Project

Json = dict[str, Any]
Play = list[Json]

LEDGER = "ledger"
NOTES = "notes/"
"""Below it every invocation leaves a file of its own, which is never overwritten: what may be lost least of all."""

NOTE = "@FEATURE@ @ATTEMPT@ @INVOCATION@"


@dataclass(frozen=True, slots=True)
class Plan:
    """features: entries of the feature list. script: plays by feature. files: right content by path, of all features."""

    features: Sequence[Json]
    script: Mapping[str, Any]
    files: Mapping[str, str]

    def arrange(self, project: Project, **settings: object) -> None:
        (project.home / LEDGER).touch()
        at_home = json.dumps(self.script).replace("@HOME@", str(project.home))
        project.arrange(self.features, script=json.loads(at_home), max_attempts=9, **settings)


def _ledger(word: str) -> Json:
    return {"append": {"path": f"@HOME@/{LEDGER}", "text": f"{word} {NOTE}\n"}}


def _note() -> list[Json]:
    name = NOTE.replace(" ", "-")
    return [{"write": {"path": f"{NOTES}{name}.txt", "text": f"{NOTE}\n"}}, _ledger("wrote")]


def _write(path: str, text: str) -> Json:
    return {"write": {"path": path, "text": text}}


def _play(*steps: Json) -> Play:
    return [_ledger("begin"), *_note(), *steps, _ledger("end")]


def _feature(name: str, *needs: str, check: str) -> Json:
    return {"id": name, "prompt": f"Do {name}.", "depends_on": [*needs], "verify": [{"name": "right", "run": check}]}


def _halves(name: str) -> tuple[Json, Json]:
    return _write(f"{name}/1.txt", f"{name}, first half\n"), _write(f"{name}/2.txt", f"{name}, second half\n")


def _files(*names: str) -> dict[str, str]:
    return {f"{name}/{n}.txt": f"{name}, {half} half\n" for name in names for n, half in ((1, "first"), (2, "second"))}


def _all_there(name: str) -> str:
    return f"grep -q first {name}/1.txt && grep -q second {name}/2.txt"


def pair() -> Plan:
    """A feature that commits a half of its work itself, and one that builds on it and is sent back once."""
    first, second = _halves("one")
    bad, good = _play(_write("two/1.txt", "wrong\n"), _halves("two")[1]), _play(*_halves("two"))
    return Plan(
        (_feature("one", check=_all_there("one")), _feature("two", "one", check=_all_there("two"))),
        {"one": [_play(first, {"commit": "One half"}, second)], "two": [bad, good]},
        _files("one", "two"),
    )


def three() -> Plan:
    """The same with a third feature beside the second: its merge is checked, too."""
    two = pair()
    return Plan(
        (*two.features, _feature("three", "one", check=_all_there("three"))),
        {**two.script, "three": [_play(*_halves("three"))]},
        {**two.files, **_files("three")},
    )


def halting() -> Plan:
    """The second feature's agent is not signed in at first: the run comes to a halt with half of its work parked."""
    first, second = _halves("two")
    halts = [_ledger("begin"), *_note(), first, {"fail": "auth"}]
    return Plan(
        (_feature("one", check=_all_there("one")), _feature("two", "one", check=_all_there("two"))),
        {"one": [_play(*_halves("one"))], "two": [halts, _play(first, second)]},
        _files("one", "two"),
    )


def waiting_for_a_save() -> Plan:
    """An agent that goes on only when its work has been saved under a private ref while it worked."""
    first, second = _halves("one")
    saved: Json = {"run": "until git for-each-ref refs/orchestrate | grep -q .; do sleep 0.02; done"}
    return Plan((_feature("one", check=_all_there("one")),), {"one": [_play(first, saved, second)]}, _files("one"))


def wild(mark: str) -> Plan:
    """Agents that take their time, commit, leave things lying about, and start what does not want to end.

    mark: seconds that the processes sleep, by which they are known even where nothing else tells of them.
    """
    clean = f"env -i /usr/bin/setsid -f /bin/sleep {mark}"
    children: list[Json] = [
        {"run": f"/bin/sleep {mark} > /dev/null 2>&1 &"},
        {"run": f"setsid /bin/sleep {mark} > /dev/null 2>&1 &"},
        {"run": f"(trap '' TERM INT HUP; exec nohup /bin/sleep {mark}) > /dev/null 2>&1 &"},
        {"run": f"cd / && {clean} > /dev/null 2>&1 < /dev/null"},
    ]
    first, second = _halves("one")
    slow: Json = {"wait": 0.05}
    many = [step for n in range(4) for step in (_write(f"three/many/{n}.txt", f"{n}\n"), {"wait": 0.02})]
    bad = _play(_write("two/1.txt", "wrong\n"), *children[:2], slow, _halves("two")[1])
    good = _play(*_halves("two"), slow)
    return Plan(
        (
            _feature("one", check=_all_there("one")),
            _feature("two", "one", check=_all_there("two")),
            _feature("three", check=_all_there("three")),
            _feature("four", "two", "three", check=_all_there("four")),
        ),
        {
            "one": [_play(first, {"commit": "One half"}, *children, second, slow)],
            "two": [bad, good],
            "three": [_play(*many, {"commit": "Many"}, {"daemon": {"seconds": float(mark)}}, *_halves("three"), slow)],
            "four": [_play(*_halves("four"), slow)],
        },
        {**_files("one", "two", "three", "four"), **{f"three/many/{n}.txt": f"{n}\n" for n in range(4)}},
    )


@dataclass(frozen=True, slots=True, order=True)
class Did:
    """A line of the ledger: this invocation has begun, has written its note, has done its last step."""

    word: str
    feature: str
    attempt: int
    invocation: int


def load_ledger(home: Path) -> list[Did]:
    lines = (line.split() for line in (home / LEDGER).read_text().splitlines())
    return [Did(word, feature, int(attempt), int(invocation)) for word, feature, attempt, invocation in lines]
