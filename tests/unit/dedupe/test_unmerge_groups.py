"""Which records become which member when a person is taken apart."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given
from hypothesis import strategies as st

from etl.dedupe.labels import RecordRef
from etl.dedupe.unmerge_groups import Linked, name_groups, part_records
from etl.dedupe.unmerge_model import SplitGroup

OLD, NEW = datetime(2010, 1, 1), datetime(2020, 1, 1)
CRM_17 = Linked(RecordRef("crm", "17"), 17, (), OLD, lends=True)
CRM_23 = Linked(RecordRef("crm", "23"), 23, (), NEW, lends=False)
CRM_30 = Linked(RecordRef("crm", "30"), 30, (30,), OLD, lends=False)
POS_A = Linked(RecordRef("pos", "A"), None, (2**32 + 5, 40), NEW, lends=False)
POS_B = Linked(RecordRef("pos", "B"), None, (), NEW, lends=False)


def told(groups: tuple[SplitGroup, ...]) -> list[tuple[list[str], int | None, str]]:
    """Groups as texts."""
    return [([str(record) for record in group.records], group.member_id, group.origin) for group in groups]


def test_who_stays_keeps_the_id() -> None:
    parts = part_records([CRM_17, CRM_23, POS_B], {POS_B.record}, (), whole=False)
    assert told(name_groups(17, parts, ())) == [(["crm:17", "crm:23"], 17, "stays"), (["pos:B"], None, "new id")]


def test_who_lent_the_id_takes_it_along_and_the_oldest_kept_id_names_the_rest() -> None:
    parts = part_records([CRM_17, CRM_23, CRM_30, POS_B], {CRM_17.record}, (), whole=False)
    assert told(name_groups(17, parts, ())) == [(["crm:23", "crm:30", "pos:B"], 30, "own id"), (["crm:17"], 17, "stays")]


def test_a_merge_taken_back_restores_what_it_joined() -> None:
    """The id that ended leads its own records again."""
    ended = 2**32 + 5
    parts = part_records([CRM_17, POS_A, POS_B], (), {ended}, whole=False)
    assert told(name_groups(17, parts, {ended})) == [(["crm:17", "pos:B"], 17, "stays"), (["pos:A"], ended, "id it had")]


def test_an_id_that_lives_elsewhere_is_not_given_again() -> None:
    parts = part_records([CRM_17, POS_A], {POS_A.record}, (), whole=False)
    assert told(name_groups(17, parts, ())) == [(["crm:17"], 17, "stays"), (["pos:A"], None, "new id")]


def test_a_person_without_kept_ids_leaves_the_id_with_the_first() -> None:
    parts = part_records([POS_A, POS_B], (), (), whole=True)
    assert told(name_groups(2**32 + 9, parts, ())) == [(["pos:A"], 2**32 + 9, "stays"), (["pos:B"], None, "new id")]


@given(
    st.lists(
        st.tuples(st.sampled_from(["crm", "pos", "ecom"]), st.integers(1, 30), st.integers(0, 3), st.booleans()),
        unique_by=lambda one: one[:2],
        min_size=2,
        max_size=8,
    ),
    st.integers(1, 40),
    st.data(),
)
def test_every_record_has_one_group_and_no_id_two(
    drawn: list[tuple[str, int, int, bool]], member_id: int, data: st.DataObject
) -> None:
    """Whatever comes out of whatever, kept ids of records that stand alone are their own."""
    linked = [
        Linked(RecordRef(system, str(number)), number if system == "crm" else None, (had,) if had else (), OLD, lends)
        for system, number, had, lends in drawn
    ]
    out = data.draw(st.sets(st.sampled_from([one.record for one in linked])))
    together = data.draw(st.sets(st.integers(1, 3)))
    groups = name_groups(member_id, part_records(linked, out, together, whole=data.draw(st.booleans())), together)
    assert sorted(record for group in groups for record in group.records) == sorted(one.record for one in linked)
    ids = [group.member_id for group in groups if group.member_id is not None]
    assert len(set(ids)) == len(ids)
    lent = [one for one in linked if one.kept_id == member_id or one.lends]
    for group in groups:
        others = {int(one.source_id) for other in groups if other is not group for one in other.records if one.system == "crm"}
        assert group.member_id not in others or (group.member_id == member_id and lent), "the id of a record of another group"
        if len(group.records) == 1 and group.records[0].system == "crm":
            assert group.member_id == int(group.records[0].source_id)
