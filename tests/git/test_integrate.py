"""Merging in memory and moving the integration branch: conflicts, lost races, and crashes between the two."""

from __future__ import annotations

import asyncio

import pytest

from orchestrate.core import events as ev
from orchestrate.core.effects import MergeWork, PublishMerge
from orchestrate.git.merges import subject_line

from .conftest import INTEGRATION, World


async def test_a_merge_is_a_merge_commit_even_where_the_branch_could_just_move(world: World) -> None:
    onto = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    merged = await world.merge("x", head, onto)
    assert merged.kind == "merged"
    assert world.repo.git("rev-list", "--parents", "-1", merged.commit).split()[1:] == [onto, head]
    assert merged.tree == world.repo.git("rev-parse", f"{head}^{{tree}}")
    message = world.repo.git("log", "-1", "--format=%B", merged.commit)
    assert message == f"Merge feature x: The x\n\nOrchestrate-Attempt: {world.key('x')}\n"
    assert world.repo.tip(f"refs/heads/{INTEGRATION}") == ""


async def test_features_meet_in_the_integration_branch(world: World) -> None:
    tip = world.repo.head()
    for fid in ("a", "b", "c"):
        head = await world.finished(fid, {f"{fid}.py": "1\n"}, world.repo.head())
        tip = await world.integrated(fid, head, tip)
    assert world.repo.tip(f"refs/heads/{INTEGRATION}") == tip
    assert {"a.py", "b.py", "c.py", "calc.py"} <= world.repo.files(tip).keys()


async def test_a_dependent_based_on_its_dependency_merges_after_it(world: World) -> None:
    root = world.repo.head()
    below = await world.finished("below", {"below.py": "1\n"}, root)
    above = await world.finished("above", {"above.py": "1\n"}, below)
    tip = await world.integrated("below", below, root)
    tip = await world.integrated("above", above, tip)
    assert {"below.py", "above.py"} <= world.repo.files(tip).keys()


async def test_a_conflict_names_its_paths_and_moves_nothing(world: World) -> None:
    root = world.repo.head()
    one = await world.finished("one", {"calc.py": "# one\n"}, root)
    two = await world.finished("two", {"calc.py": "# two\n", "fine.py": "1\n"}, root)
    tip = await world.integrated("one", one, root)
    merged = await world.merge("two", two, tip)
    assert (merged.kind, merged.paths) == ("conflict", ("calc.py",))
    assert "content" in merged.why and "calc.py" in merged.why
    assert world.repo.tip(f"refs/heads/{INTEGRATION}") == tip


async def test_conflicts_of_every_kind_are_described(world: World) -> None:
    base = world.repo.side_commit(world.repo.head(), {"a b.py": "1\n", "gone.py": "1\n"})
    one = await world.finished("one", {"a b.py": "2\n", "gone.py": "2\n"}, base)
    await world.prepare("two", base)
    (world.path("two") / "gone.py").unlink()
    world.repo.write({"a b.py": "3\n"}, world.path("two"))
    two = (await world.seal("two")).head
    merged = await world.merge("two", two, one)
    assert merged.paths == ("a b.py", "gone.py")
    assert len(merged.why.splitlines()) == 2 and "modify/delete" in merged.why


async def test_merging_again_after_a_crash_finds_what_is_published(world: World) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    tip = await world.integrated("x", head, root)
    world.restarted()
    again = await world.merge("x", head, root)
    assert (again.kind, again.commit) == ("present", tip)
    assert again.tree == world.repo.git("rev-parse", f"{tip}^{{tree}}")


async def test_the_trailer_of_sealed_work_is_not_taken_for_a_merge(world: World) -> None:
    """A dependent's merge brings its dependency's commits along, trailers and all."""
    root = world.repo.head()
    below = await world.finished("below", {"below.py": "1\n"}, root)
    above = await world.finished("above", {"above.py": "1\n"}, below)
    await world.integrated("above", above, root)
    assert (await world.merge("below", below, root)).kind == "moved"


async def test_a_branch_that_somebody_moved_is_said_with_its_tip(world: World) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    foreign = world.repo.side_commit(root, {"y.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{INTEGRATION}", foreign)
    merged = await world.merge("x", head, root)
    assert (merged.kind, merged.commit) == ("moved", foreign) and "has moved" in merged.why


async def test_unrelated_histories_are_an_error(world: World) -> None:
    tree = world.repo.git("rev-parse", "HEAD^{tree}")
    stranger = world.repo.git("commit-tree", tree, "-m", "stranger")
    assert (await world.merge("x", stranger, world.repo.head())).kind == "error"


async def test_a_lost_race_for_the_branch_is_said(world: World) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    merged = await world.merge("x", head, root)
    foreign = world.repo.side_commit(root, {"y.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{INTEGRATION}", foreign)
    published = await world.publish("x", merged.commit, root)
    assert not published.ok and published.commit == foreign and foreign[:12] in published.why
    assert world.repo.tip(f"refs/heads/{INTEGRATION}") == foreign


@pytest.mark.parametrize("packed", [False, True])
async def test_publishing_twice_is_publishing_once(world: World, packed: bool) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    tip = await world.integrated("x", head, root)
    if packed:
        loose = world.repo.path / ".git/refs/heads" / INTEGRATION
        packed_refs = world.repo.path / ".git/packed-refs"
        packed_refs.write_text(f"# pack-refs with: peeled fully-peeled sorted \n{tip} refs/heads/{INTEGRATION}\n")
        loose.unlink()
    assert (await world.publish("x", tip, root)).ok
    assert world.repo.tip(f"refs/heads/{INTEGRATION}") == tip
    if packed:
        packed_refs.unlink()


async def test_a_branch_that_was_deleted_meanwhile_comes_back(world: World) -> None:
    root = world.repo.head()
    one = await world.finished("one", {"one.py": "1\n"}, root)
    two = await world.finished("two", {"two.py": "1\n"}, root)
    tip = await world.integrated("one", one, root)
    world.repo.git("update-ref", "-d", f"refs/heads/{INTEGRATION}")
    tip = await world.integrated("two", two, tip)
    assert {"one.py", "two.py"} <= world.repo.files(tip).keys()


async def set_elsewhere(world: World) -> tuple[str, str, str, str]:
    """Head of the feature `two`, its merge, onto which tip, and the commit without it to which somebody set the branch."""
    root = world.repo.head()
    one = await world.finished("one", {"one.py": "1\n"}, root)
    two = await world.finished("two", {"two.py": "1\n"}, root)
    tip = await world.integrated("one", one, root)
    merged = await world.merge("two", two, tip)
    foreign = world.repo.side_commit(root, {"foreign.py": "1\n"})
    world.repo.git("update-ref", f"refs/heads/{INTEGRATION}", foreign)
    return two, merged.commit, tip, foreign


@pytest.mark.parametrize("what", ["merge", "publish"])
async def test_a_branch_that_was_set_elsewhere_is_waited_for(world: World, what: str) -> None:
    head, commit, tip, foreign = await set_elsewhere(world)
    pauses = []

    async def put_back_in_the_end(seconds: float) -> None:
        assert world.repo.tip(INTEGRATION) == foreign
        pauses.append(seconds)
        if len(pauses) == 3:
            world.repo.git("branch", "--force", INTEGRATION, tip)

    world.restarted(pause=put_back_in_the_end)
    key = world.key("two")
    effect = MergeWork("m", key, head, tip) if what == "merge" else PublishMerge("p", key, commit, tip)
    said, answer = await world.events_of(effect)
    assert isinstance(said, ev.Warned) and f"to put it back: git branch -f {INTEGRATION} {tip[:12]}" in said.message
    assert len(pauses) == 3
    if what == "merge":
        assert isinstance(answer, ev.MergeFinished) and answer.kind == "merged"
        assert world.repo.tip(INTEGRATION) == tip
    else:
        assert isinstance(answer, ev.Published) and answer.ok
        assert world.repo.tip(INTEGRATION) == commit


@pytest.mark.parametrize("what", ["merge", "publish"])
async def test_waiting_for_a_branch_that_was_set_elsewhere_can_be_ended(world: World, what: str) -> None:
    head, commit, tip, foreign = await set_elsewhere(world)

    async def stop(seconds: float) -> None:
        raise asyncio.CancelledError

    world.restarted(pause=stop)
    key = world.key("two")
    effect = MergeWork("m", key, head, tip) if what == "merge" else PublishMerge("p", key, commit, tip)
    _, answer = await world.events_of(effect)
    if what == "merge":
        assert isinstance(answer, ev.EffectLost) and answer.blameless
    else:
        assert isinstance(answer, ev.Published) and (answer.ok, answer.commit) == (False, "")
    assert world.repo.tip(INTEGRATION) == foreign


async def test_a_stop_during_git_is_not_waited_over(world: World) -> None:
    """It comes while git looks at the branch, which is not cut off; the wait after that must know."""
    head, _, tip, _ = await set_elsewhere(world)
    world.restarted(pause=asyncio.sleep)
    heard: list[ev.Event] = []

    def stop_at_once(event: ev.Event) -> None:
        heard.append(event)

    work = asyncio.create_task(world.performer.perform(MergeWork("m", world.key("two"), head, tip), stop_at_once))
    await asyncio.sleep(0)  # it has begun
    work.cancel()
    await work
    assert isinstance(heard[-1], ev.EffectLost)


async def test_a_branch_that_the_user_has_checked_out_is_waited_for(world: World) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    merged = await world.merge("x", head, root)
    elsewhere = world.repo.path.parent / "look"
    world.repo.git("worktree", "add", "--quiet", "-b", INTEGRATION, str(elsewhere), root)
    pauses = []

    async def leave_in_the_end(seconds: float) -> None:
        assert world.repo.tip(INTEGRATION) == root
        pauses.append(seconds)
        if len(pauses) == 3:
            world.repo.git("checkout", "--quiet", "--detach", cwd=elsewhere)

    world.restarted(pause=leave_in_the_end)
    warned, published = await world.publish_events("x", merged.commit, root)
    assert isinstance(warned, ev.Warned) and INTEGRATION in warned.message and str(elsewhere) in warned.message
    assert isinstance(published, ev.Published) and published.ok
    assert len(pauses) == 3 and world.repo.tip(INTEGRATION) == merged.commit
    assert world.repo.head(elsewhere) == root
    world.repo.git("worktree", "remove", str(elsewhere))


async def test_waiting_for_the_integration_branch_can_be_ended(world: World) -> None:
    root = world.repo.head()
    head = await world.finished("x", {"x.py": "1\n"})
    merged = await world.merge("x", head, root)
    elsewhere = world.repo.path.parent / "look"
    world.repo.git("worktree", "add", "--quiet", "-b", INTEGRATION, str(elsewhere), root)

    async def stop(seconds: float) -> None:
        raise asyncio.CancelledError

    world.restarted(pause=stop)
    _, published = await world.publish_events("x", merged.commit, root)
    assert isinstance(published, ev.Published) and not published.ok and published.commit == ""
    assert world.repo.tip(INTEGRATION) == root
    world.repo.git("worktree", "remove", str(elsewhere))


def test_a_name_becomes_one_subject_line() -> None:
    assert subject_line("Log\nin \x1b[31m", "x") == "Log in [31m"
    assert subject_line("  ", "x") == "x"
    assert len(subject_line("word " * 100, "x")) <= 120
