"""The form of events on disk: loss-free, tolerant of the past, clear about the future."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrate.core import events as ev
from orchestrate.store.codec import CODEC, KINDS, VERSION_KEY, Codec, UnreadableEventError, decode, encode
from tests.support.anyevent import any_event

DECIDED_BASES = {ev.Event, ev.Control, ev.AttemptEvent, ev.DecidedAttemptEvent}


def test_every_event_class_has_a_kind() -> None:
    concrete = {
        value
        for value in vars(ev).values()
        if isinstance(value, type) and issubclass(value, ev.Event) and value not in DECIDED_BASES
    }
    assert set(KINDS.values()) == concrete
    assert len(KINDS) == len(concrete)


def test_no_event_has_a_field_named_like_the_version() -> None:
    assert all(VERSION_KEY not in {f.name for f in dataclasses.fields(cls)} for cls in KINDS.values())


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_round_trip(kind: str, data: st.DataObject) -> None:
    event = data.draw(any_event(KINDS[kind]))
    written, body = encode(event)
    assert written == kind
    assert repr(decode(kind, event.at, body)) == repr(event)  # by repr, as not-a-number differs from itself
    body.encode("ascii")
    json.loads(body, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_body_names_every_field_but_the_time() -> None:
    _, body = encode(ev.Warned(5.0, "a", "look"))
    assert json.loads(body) == {"feature": "a", "message": "look"}


@pytest.mark.parametrize(("figure", "text"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")])
def test_figures_that_json_lacks_become_text(figure: float, text: str) -> None:
    kind, body = encode(ev.InvocationProgressed(1.0, "a", 1, 1, cost_usd=figure, tokens=ev.Tokens(7)))
    assert json.loads(body)["cost_usd"] == text
    assert json.loads(body)["tokens"]["input"] == 7
    assert repr(decode(kind, 1.0, body)).endswith(f"cost_usd={text})")


def test_a_field_that_an_old_body_lacks_takes_its_default() -> None:
    old = '{"feature":"a","attempt":1,"n":2,"outcome":"failed"}'
    assert decode("AttemptEnded", 9.0, old) == ev.AttemptEnded(9.0, "a", 1, 2, "failed", "", False, 0.0)


def test_a_whole_number_is_a_number() -> None:
    event = decode(
        "WorktreePrepared", 1, '{"feature":"a","attempt":1,"base":"b","branch":"c","path":"/","duration_s":3}'
    )
    assert repr(event).endswith("duration_s=3.0)")


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("FeatureBlessed", "{}", "kind 'FeatureBlessed' are unknown"),
        ("Warned", '{"feature":"a","message":"m","urgent":true}', "field 'urgent' of Warned is unknown"),
        ("RunEnded", '{"status":"exploded"}', "status is 'exploded', which is unknown"),
        ("Warned", '{"v":2,"feature":"a","message":"m"}', r"version 2 of Warned is unknown \(known: 1\)"),
        (
            "WorkSealed",
            '{"feature":"a","attempt":1,"head":"h","tree":"t","v":"x"}',
            "version x of WorkSealed is unknown",
        ),
    ],
)
def test_what_a_newer_version_wrote_is_refused(kind: str, body: str, words: str) -> None:
    with pytest.raises(UnreadableEventError, match=words) as refusal:
        decode(kind, 1.0, body)
    assert refusal.value.newer


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("Warned", "{", "no JSON"),
        ("Warned", "[" * 100_000, "no JSON"),
        ("Warned", "[]", "no object"),
        ("Warned", '{"feature":"a"}', "Warned lacks message"),
        ("Warned", '{"feature":1,"message":"m"}', "feature is '1', not str"),
        ("EngineStarted", '{"pid":true}', "pid is 'True', not int"),
        ("EngineStarted", '{"pid":' + "9" * 5000 + "}", "no JSON"),
        ("RunEnded", '{"status":3}', "status is '3'"),
        ("AttemptStarted", '{"feature":"a","attempt":1,"n":1,"parents":"abc"}', "parents is 'abc', not a list"),
        ("AttemptStarted", '{"feature":"a","attempt":1,"n":1,"parents":[null]}', "parents is 'None', not str"),
        ("ChecksFinished", '{"feature":"a","attempt":1,"ok":true,"checks":[5]}', "checks is '5', not an object"),
        ("InvocationProgressed", '{"feature":"a","attempt":1,"invocation":1,"cost_usd":"much"}', "not a number"),
    ],
)
def test_damage_is_told_from_progress(kind: str, body: str, words: str) -> None:
    with pytest.raises(UnreadableEventError, match=words) as refusal:
        decode(kind, 1.0, body)
    assert not refusal.value.newer


@given(
    kind=st.sampled_from(list(KINDS)),
    body=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps),
)
def test_no_body_at_all_makes_it_stumble(kind: str, body: str) -> None:
    with pytest.raises(UnreadableEventError):
        decode(kind, 1.0, body)


@dataclasses.dataclass(frozen=True, slots=True)
class Warned3(ev.Event):
    """What a warning might be two versions on: `message` split in two, and named otherwise."""

    subject: str
    what: str
    todo: str


def test_upcasters_lead_old_bodies_to_the_newest_shape() -> None:
    later = Codec(
        kinds={"Warned": Warned3},
        versions={"Warned": 3},
        upcasters={
            ("Warned", 1): lambda old: {"subject": old["feature"], "message": old["message"]},
            ("Warned", 2): lambda old: {
                "subject": old["subject"],
                "what": old["message"].partition("; ")[0],
                "todo": old["message"].partition("; ")[2],
            },
        },
    )
    kind, body = CODEC.encode(ev.Warned(1.0, "a", "disk is full; free some"))
    assert later.decode(kind, 1.0, body) == Warned3(1.0, "a", "disk is full", "free some")
    assert later.decode("Warned", 1.0, '{"v":2,"subject":"a","message":"x; y"}') == Warned3(1.0, "a", "x", "y")

    newest = Warned3(2.0, "b", "c", "d")
    assert later.encode(newest)[0] == "Warned"
    assert later.decode("Warned", 2.0, later.encode(newest)[1]) == newest


def test_an_event_outside_the_table_is_a_defect() -> None:
    with pytest.raises(TypeError, match="Warned3 is not in the table"):
        encode(Warned3(1.0, "a", "b", "c"))


@dataclasses.dataclass(frozen=True, slots=True)
class Measured(ev.Event):
    figures: dict[str, float]


def test_a_type_that_no_event_has_used_is_a_defect() -> None:
    codec = Codec(kinds={"Measured": Measured}, versions={}, upcasters={})
    with pytest.raises(TypeError, match="no codec for dict"):
        codec.decode("Measured", 1.0, '{"figures":{}}')
