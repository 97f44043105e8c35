"""The decision table: what each combination of facts means, and that no cause on our side is ever the API's."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from driftwatch.attribution import Facts, Movement, OwnCause, Reason, Role, Scope, Whose, Witness, judge
from driftwatch.domain import Kind

MOVED, STILL, UNKNOWN = Movement.MOVED, Movement.STILL, Movement.UNKNOWN
SAME, FROZEN, DIRECT, FEATURE, HOST, OTHER = (
    Role.SAME_MODEL,
    Role.FROZEN,
    Role.DIRECT,
    Role.FEATURE,
    Role.HOST,
    Role.OTHER,
)
UPGRADE = OwnCause(text="driftwatch 0.5.0 → 0.6.0, 2 h before the onset", scope=Scope.ALL)
SETTING = OwnCause(text="the settings of support: timeout 60 → 20, at the onset", scope=Scope.ONE)
PROXY = OwnCause(text="another proxy, at the onset", scope=Scope.NETWORK)
KEY = OwnCause(text="the key is not accepted", scope=Scope.ACCOUNT)
RENAMED = Reason(text="the endpoint names another model: m-1 → m-2", points_to=Whose.PROVIDER)
ROUTED = Reason(text="the endpoint is served by another provider: a → b", points_to=Whose.ENDPOINT)


def witness(role: Role, movement: Movement, n: int = 1, *, is_remote: bool = True) -> Witness:
    how = {MOVED: "moved too", STILL: "did not move", UNKNOWN: "says nothing"}[movement]
    return Witness(
        name=f"{role.name.lower()}-{n}",
        role=role,
        movement=movement,
        how=how,
        host=f"{role.name.lower()}-{n}.example",
        is_remote=is_remote,
    )


def facts(*seen: tuple[Role, Movement], kind: Kind = Kind.BEHAVIOUR, **more: object) -> Facts:
    witnesses = tuple(witness(role, movement, n) for n, (role, movement) in enumerate(seen, start=1))
    return replace(Facts(target="support", kind=kind, witnesses=witnesses, is_recorded=True), **more)


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        # 8: nothing tells
        (facts(), Whose.UNKNOWN),
        (facts((SAME, UNKNOWN)), Whose.UNKNOWN),
        (facts((OTHER, MOVED)), Whose.UNKNOWN),
        (facts((HOST, MOVED)), Whose.UNKNOWN),
        (facts((FEATURE, STILL)), Whose.UNKNOWN),
        (facts((FEATURE, MOVED)), Whose.UNKNOWN),
        (facts((DIRECT, MOVED)), Whose.UNKNOWN),
        # 3, 4, 5: the same model elsewhere
        (facts((SAME, STILL)), Whose.ENDPOINT),
        (facts((SAME, MOVED)), Whose.UNKNOWN),
        (facts((SAME, MOVED), (OTHER, STILL)), Whose.PROVIDER),
        (facts((SAME, MOVED), (FROZEN, STILL)), Whose.PROVIDER),
        (facts((SAME, MOVED), (OTHER, MOVED)), Whose.UNKNOWN),
        (facts((SAME, MOVED), (SAME, STILL)), Whose.UNKNOWN),
        # 6: its own word
        (facts(words=(RENAMED,)), Whose.PROVIDER),
        (facts(words=(ROUTED,)), Whose.ENDPOINT),
        (facts((SAME, STILL), words=(RENAMED,)), Whose.ENDPOINT),
        # 7: the rest is quiet
        (facts((OTHER, STILL)), Whose.ENDPOINT),
        (facts((HOST, STILL)), Whose.ENDPOINT),
        (facts((HOST, MOVED), (OTHER, STILL)), Whose.ENDPOINT),
        (facts((OTHER, MOVED), (OTHER, STILL)), Whose.UNKNOWN),
        (facts((OTHER, MOVED), (OTHER, STILL), (HOST, STILL)), Whose.ENDPOINT),
        # 1, 2: our side
        (facts((FROZEN, MOVED)), Whose.OURS),
        (facts((FROZEN, MOVED), (SAME, MOVED)), Whose.OURS),
        (facts((DIRECT, STILL)), Whose.OURS),
        (facts((DIRECT, STILL), (OTHER, STILL)), Whose.OURS),
        (facts((OTHER, MOVED), (OTHER, MOVED)), Whose.OURS),
        (facts(*[(OTHER, MOVED)] * 3, (OTHER, STILL)), Whose.OURS),
        (facts(*[(OTHER, MOVED)] * 2, (OTHER, STILL)), Whose.UNKNOWN),
        (facts(is_frozen=True), Whose.OURS),
        (facts(is_frozen=True, own_causes=(UPGRADE,)), Whose.OURS),
        (facts(own_causes=(UPGRADE,)), Whose.OURS),
        (facts((SAME, MOVED), own_causes=(UPGRADE,)), Whose.OURS),
        (facts((SAME, STILL), own_causes=(SETTING,)), Whose.OURS),
        (facts((OTHER, STILL), own_causes=(SETTING,)), Whose.OURS),
        (facts((HOST, MOVED), own_causes=(KEY,)), Whose.OURS),
        # 2: contradictions
        (facts((FROZEN, MOVED), (SAME, STILL)), Whose.UNKNOWN),
        (facts((FROZEN, MOVED), (OTHER, STILL)), Whose.UNKNOWN),
        (facts((FROZEN, MOVED), words=(RENAMED,)), Whose.UNKNOWN),
        (facts((OTHER, STILL), own_causes=(UPGRADE,)), Whose.UNKNOWN),
        (facts((SAME, MOVED), own_causes=(SETTING,)), Whose.UNKNOWN),
        (facts((HOST, MOVED), own_causes=(SETTING,)), Whose.UNKNOWN),
        (facts(words=(RENAMED,), own_causes=(KEY,)), Whose.UNKNOWN),
        (facts((DIRECT, STILL), words=(RENAMED,)), Whose.UNKNOWN),
    ],
)
def test_the_table(known: Facts, verdict: Whose):
    found = judge(known)
    assert found.verdict is verdict, found.summary


@pytest.mark.parametrize("kind", [Kind.BEHAVIOUR, Kind.PERFORMANCE, Kind.AVAILABILITY])
@pytest.mark.parametrize("role", [FROZEN, SAME, OTHER])
def test_what_stands_nearer_says_nothing_of_the_network_beyond(kind: Kind, role: Role):
    quiet = witness(role, STILL, is_remote=False)
    found = judge(Facts(target="t", kind=kind, witnesses=(quiet,), is_recorded=True))
    assert found.verdict is Whose.UNKNOWN
    assert "it stands nearer than what moved, which says nothing of the network beyond" in found.summary
    far = Facts(target="t", kind=kind, witnesses=(replace(quiet, is_remote=True),), is_recorded=True)
    assert judge(far).verdict is Whose.ENDPOINT


def test_what_stands_on_this_machine_clears_our_machine_of_what_replies_say_and_of_nothing_else():
    quiet = witness(FROZEN, STILL, is_remote=False)
    others = (witness(OTHER, MOVED, 1), witness(OTHER, MOVED, 2))
    known = Facts(target="t", kind=Kind.BEHAVIOUR, witnesses=(quiet,), own_causes=(UPGRADE,))
    assert judge(known).verdict is Whose.UNKNOWN
    assert judge(replace(known, kind=Kind.PERFORMANCE)).verdict is Whose.OURS
    assert judge(replace(known, own_causes=(PROXY,))).verdict is Whose.OURS
    assert judge(replace(known, own_causes=(), witnesses=(quiet, *others))).verdict is Whose.OURS


def test_a_change_on_our_side_that_was_only_perhaps_at_the_onset_blames_nobody():
    far = replace(SETTING, is_near=False)
    found = judge(facts((SAME, STILL), own_causes=(far,)))
    assert found.verdict is Whose.UNKNOWN
    assert "but the onset is not known so well that this must be the cause" in found.summary
    assert judge(facts((SAME, MOVED), (OTHER, STILL), own_causes=(far,))).verdict is Whose.PROVIDER
    assert judge(facts((SAME, STILL), own_causes=(far, SETTING))).verdict is Whose.OURS


@pytest.mark.parametrize("cause", [UPGRADE, PROXY])
def test_an_upgrade_that_was_only_perhaps_at_the_onset_may_have_moved_this_target_alone(cause: OwnCause):
    far = replace(cause, is_near=False)
    found = judge(facts((SAME, STILL), own_causes=(far,)))
    assert found.verdict is Whose.UNKNOWN
    assert found.summary.startswith(f"Cannot tell: {cause.text}, but same_model-1 ")
    # It moved neither everything nor this target alone.
    assert judge(facts((SAME, MOVED), (OTHER, STILL), own_causes=(far,))).verdict is Whose.PROVIDER
    assert judge(facts((HOST, MOVED), (SAME, STILL), own_causes=(far,))).verdict is Whose.ENDPOINT


@pytest.mark.parametrize("role", [SAME, OTHER])
def test_without_a_record_a_setting_of_ours_may_have_moved_this_target_alone(role: Role):
    found = judge(facts((role, STILL), is_recorded=False))
    assert found.verdict is Whose.UNKNOWN
    assert "but what was so on our side before the onset is not recorded." in found.summary


def test_without_a_record_a_neighbour_that_moved_too_shows_that_it_was_no_setting_of_ours():
    assert judge(facts((SAME, STILL), (HOST, MOVED), is_recorded=False)).verdict is Whose.ENDPOINT
    assert judge(facts((OTHER, STILL), (HOST, MOVED), is_recorded=False)).verdict is Whose.ENDPOINT
    assert judge(facts((SAME, MOVED), (OTHER, STILL), is_recorded=False)).verdict is Whose.PROVIDER


def test_a_control_that_more_runs_do_not_help_is_told_what_it_needs():
    silent = replace(witness(SAME, UNKNOWN), needs="give same_model-1 the suites of support")
    found = judge(Facts(target="support", kind=Kind.BEHAVIOUR, witnesses=(silent,), is_recorded=True))
    assert "To tell next time, give same_model-1 the suites of support; add one at another host" in found.summary
    assert "More runs" not in found.summary


def test_the_deciding_reasons_stand_first_and_all_are_listed():
    known = facts((FEATURE, MOVED), (OTHER, UNKNOWN), (SAME, MOVED), (OTHER, STILL))
    found = judge(known)
    assert [reason.text for reason in found.reasons[:2]] == [
        "same_model-3 (the same model at another host) moved too",
        "other-4 (another model at another host) did not move",
    ]
    assert len(found.reasons) == len(known.witnesses) + 1
    assert found.reasons[0].points_to is Whose.PROVIDER


def test_what_would_be_needed_is_named_and_nothing_that_is_there():
    def advice(*seen: tuple[Role, Movement]) -> str:
        return judge(facts(*seen)).summary

    assert "same_model}`) and one at another host with weights" in advice()
    assert "same_model}`" not in advice((SAME, MOVED))
    assert "More runs of same_model-1 may tell" in advice((SAME, UNKNOWN))
    assert "frozen}`" not in advice((FROZEN, MOVED), (SAME, STILL))
    assert "More runs may tell" in advice((SAME, MOVED), (OTHER, MOVED))
    assert "is not known yet" in advice((SAME, UNKNOWN), (OTHER, STILL))


def test_many_that_moved_are_counted_and_three_are_named():
    found = judge(facts(*[(OTHER, MOVED)] * 5))
    assert found.summary == (
        "Most likely our side: other-1, other-2, other-3 and 2 more, other models at 5 other hosts, moved in the same "
        "hours."
    )
    assert {reason.points_to for reason in found.reasons[:6]} == {Whose.OURS}


any_facts = st.builds(
    lambda seen, causes, words, kind, is_recorded, is_frozen: replace(
        facts(*seen, kind=kind), own_causes=causes, words=words, is_recorded=is_recorded, is_frozen=is_frozen
    ),
    st.lists(st.tuples(st.sampled_from(list(Role)), st.sampled_from(list(Movement))), max_size=6),
    st.lists(st.sampled_from([UPGRADE, SETTING, KEY]), max_size=2, unique=True).map(tuple),
    st.lists(st.sampled_from([RENAMED, ROUTED]), max_size=1).map(tuple),
    st.sampled_from([Kind.BEHAVIOUR, Kind.PERFORMANCE, Kind.AVAILABILITY, Kind.TRIPWIRE]),
    st.booleans(),
    st.booleans(),
)


@given(any_facts)
def test_the_api_is_never_blamed_where_something_on_our_side_explains_it(known: Facts):
    found = judge(known)
    explained = known.own_causes or known.is_frozen
    explained = explained or any((w.role, w.movement) in {(FROZEN, MOVED), (DIRECT, STILL)} for w in known.witnesses)
    if explained:
        assert found.verdict in {Whose.OURS, Whose.UNKNOWN}
    if found.verdict is Whose.OURS:
        assert explained or sum(w.role is OTHER and w.movement is MOVED for w in known.witnesses) > 1


@given(any_facts)
def test_nothing_but_positive_evidence_blames_the_api(known: Facts):
    silenced = replace(known, words=(), witnesses=tuple(w for w in known.witnesses if w.movement is not STILL))
    assert judge(silenced).verdict in {Whose.OURS, Whose.UNKNOWN}


@given(any_facts)
def test_everything_that_was_looked_at_is_listed_and_said_in_one_line(known: Facts):
    found = judge(known)
    texts = [reason.text for reason in found.reasons]
    assert {w.sentence for w in known.witnesses} | {c.text for c in known.own_causes} <= set(texts)
    assert len(texts) == len(set(texts))
    assert "\n" not in found.summary
    assert found.summary.endswith((".", "`."))
