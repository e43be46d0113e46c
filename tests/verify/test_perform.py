"""The effects of verify: which commands run where, and that each effect answers exactly once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrate.core import events as ev
from orchestrate.core.effects import AnyEffect, RunChecks, RunMergeChecks, SealWork
from orchestrate.core.names import AttemptKey
from orchestrate.core.plan import Command, Feature
from orchestrate.errors import OrchestrateError
from orchestrate.verify.environment import build_environment
from orchestrate.verify.perform import VerifyPerformer
from orchestrate.verify.settings import VerifySettings

from .conftest import NO_SECRETS, RUN

KEY = AttemptKey(RUN, "x", 1)
CHECKS = RunChecks(f"{RUN}.x.1.7", KEY, "ab" * 20)
MERGE_CHECKS = RunMergeChecks(f"{RUN}.x.1.8", KEY, "cd" * 20)


class Frozen:
    def now(self) -> float:
        return 1_700_000_000.0


class Bench:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.features: dict[str, Feature] = {}
        self.settings = VerifySettings(root / "artifacts", environ={"PATH": "/usr/bin:/bin", "SECRET_TOKEN": "no"})
        self.refusal = ""
        for name in ("work", "integration"):
            (root / name).mkdir()

    def feature(self, *verify: Command, **more: object) -> None:
        self.features["x"] = Feature(id="x", verify=verify, **more)

    @property
    def performer(self) -> VerifyPerformer:
        async def integration_worktree(run: str, commit: str) -> Path:
            if self.refusal:
                raise OrchestrateError(self.refusal)
            (self.root / "integration" / "commit").write_text(f"{run} {commit}")
            return self.root / "integration"

        return VerifyPerformer(
            self.settings,
            self.features,
            clock=Frozen(),
            path_of=lambda _: self.root / "work",
            port_of=lambda _: 41_010,
            integration_worktree=integration_worktree,
            redactor=NO_SECRETS,
        )

    async def answer(self, effect: AnyEffect) -> ev.ChecksFinished | ev.MergeChecksFinished:
        seen: list[ev.Event] = []
        await self.performer.perform(effect, seen.append)
        [only] = seen
        assert isinstance(only, ev.ChecksFinished | ev.MergeChecksFinished)
        return only


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_all_checks_run_in_order_whatever_the_earlier_ones_said(bench: Bench) -> None:
    bench.feature(Command("one", "echo 1 >> log; exit 1"), Command("two", "echo 2 >> log"), Command("three", "exit 4"))
    answer = await bench.answer(CHECKS)
    assert isinstance(answer, ev.ChecksFinished) and not answer.ok and not answer.error
    assert [(c.name, c.exit_code) for c in answer.checks] == [("one", 1), ("two", 0), ("three", 4)]
    assert (bench.root / "work/log").read_text() == "1\n2\n"
    assert sorted(p.name for p in (bench.root / "artifacts/x/1").glob("*.log")) == [
        f"check-7-{n}.log" for n in range(3)
    ]


async def test_no_checks_is_success(bench: Bench) -> None:
    bench.feature()
    assert (await bench.answer(CHECKS)).ok


async def test_each_place_has_its_checks(bench: Bench) -> None:
    bench.feature(
        Command("a", "pwd", when="feature"), Command("b", "pwd", when="integration"), Command("c", "pwd", when="both")
    )
    here, merged = await bench.answer(CHECKS), await bench.answer(MERGE_CHECKS)
    assert isinstance(merged, ev.MergeChecksFinished)
    assert [(c.name, Path(c.tail).name) for c in here.checks] == [("a", "work"), ("c", "work")]
    assert [(c.name, Path(c.tail).name) for c in merged.checks] == [("b", "integration"), ("c", "integration")]
    assert (bench.root / "integration/commit").read_text() == f"{RUN} {MERGE_CHECKS.commit}"


async def test_an_integration_worktree_that_cannot_be_made_is_an_answer(bench: Bench) -> None:
    bench.feature(Command("a", "true"))
    bench.refusal = "setup failed"
    answer = await bench.answer(MERGE_CHECKS)
    assert (answer.ok, answer.error, answer.checks) == (False, "setup failed", ())


async def test_a_cancelled_round_answers_with_what_it_saw(bench: Bench) -> None:
    bench.feature(Command("a", "true"), Command("b", "touch begun; sleep 100"))
    task = asyncio.ensure_future(bench.answer(CHECKS))
    while not (bench.root / "work/begun").exists():
        await asyncio.sleep(0)
    task.cancel()
    answer = await task
    assert (answer.ok, answer.error, [c.name for c in answer.checks]) == (False, "interrupted", ["a"])


async def test_effects_of_others_are_a_defect(bench: Bench) -> None:
    with pytest.raises(TypeError):
        await bench.answer(SealWork("e", KEY))


async def test_setup_stops_at_the_first_failure_and_says_why(bench: Bench) -> None:
    bench.feature(setup=(Command("deps", "echo no network; exit 7"), Command("never", "touch never")))
    why = await bench.performer.run_setup(KEY, bench.root / "work")
    assert why == "deps: echo no network; exit 7 (exit code 7)\nno network"
    assert not (bench.root / "work/never").exists()


async def test_the_integration_worktree_gets_the_projects_setup(bench: Bench) -> None:
    bench.settings = VerifySettings(bench.root / "artifacts", setup=(Command("deps", "touch ready"),))
    assert await bench.performer.run_setup(AttemptKey(RUN, "integration", 1), bench.root / "integration") == ""
    assert (bench.root / "integration/ready").exists()


async def test_commands_see_a_chosen_environment(bench: Bench) -> None:
    bench.feature(Command("env", "env"), env=(("MODE", "test"), ("ORCHESTRATE_RUN", "forged")))
    shown = dict(line.split("=", 1) for line in (await bench.answer(CHECKS)).checks[0].tail.splitlines())
    assert {"MODE": "test", "CI": "1", "TERM": "dumb", "PORT": "41010", "ORCHESTRATE_RUN": RUN}.items() <= shown.items()
    assert (shown["ORCHESTRATE_FEATURE"], shown["ORCHESTRATE_ATTEMPT"]) == ("x", "1")
    assert "SECRET_TOKEN" not in shown


def test_no_virtual_environment_and_no_credentials_are_passed_on() -> None:
    environ = {"VIRTUAL_ENV": "/v", "PYTHONPATH": "/p", "ANTHROPIC_API_KEY": "k", "GIT_DIR": "/g", "https_proxy": "p"}
    built = build_environment(environ, key=KEY)
    assert built["https_proxy"] == "p" and "PATH" in built and "PORT" not in built
    assert not built.keys() & {"VIRTUAL_ENV", "PYTHONPATH", "ANTHROPIC_API_KEY", "GIT_DIR"}


async def test_checks_of_other_features_run_along_once_each_and_say_whose_they_are(bench: Bench) -> None:
    unit = Command("unit", "echo unit >> log")
    bench.feature(unit)
    only_there = Command("draft", "false", when="feature")
    bench.features["y"] = Feature(
        "y", verify=(unit, Command("own", "echo $WHOSE; exit 5"), only_there), env=(("WHOSE", "y"),)
    )
    answer = await bench.answer(RunMergeChecks(MERGE_CHECKS.id, KEY, MERGE_CHECKS.commit, also=("y",)))
    assert isinstance(answer, ev.MergeChecksFinished) and not answer.ok
    assert [(c.name, c.exit_code, c.tail.strip()) for c in answer.checks] == [("unit", 0, ""), ("own (of y)", 5, "y")]
    assert (bench.root / "integration" / "log").read_text() == "unit\n"
