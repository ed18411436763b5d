"""Member ids over many runs: they merge, and otherwise stay."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.dedupe.registry import AGE_SCHEMA, CROSSWALK_SCHEMA, merged_before, plan_registry
from etl.dedupe.result import CLUSTER_SCHEMA, MergePlan

COUNT = 16
SYSTEMS = ("crm", "ecom", "pos")
FIRST_NEW = 1_000

systems = st.lists(st.sampled_from(SYSTEMS), min_size=COUNT, max_size=COUNT)
persons = st.lists(st.integers(0, 6), min_size=COUNT, max_size=COUNT)
ages = st.lists(st.integers(0, 3), min_size=COUNT, max_size=COUNT)


def make_records(systems: list[str], ages: list[int]) -> pl.DataFrame:
    """Records with ids that a kept system can keep; several are equally old."""
    return pl.DataFrame(
        {
            "record": range(len(systems)),
            "system": systems,
            "source_id": [str(100 + number) for number in range(len(systems))],
            "accepted": [True] * len(systems),
            "registered_at": [datetime(2010, 1, 1) + timedelta(days=age) for age in ages],
        },
        schema_overrides={"record": pl.Int64, "registered_at": pl.Datetime("us")},
    )


def clusters_of(persons: list[int]) -> pl.DataFrame:
    """Records of one person together."""
    rows = [(record, persons.index(person)) for record, person in enumerate(persons) if persons.count(person) > 1]
    return pl.DataFrame(rows, schema=CLUSTER_SCHEMA, orient="row")


def plan(records: pl.DataFrame, persons: list[int], crosswalk: pl.DataFrame, first: int = FIRST_NEW) -> MergePlan:
    """Plan with ids allocated from `first` on; members on the target are as old as their number says."""
    known = crosswalk["member_id"].unique().sort()
    ages = pl.DataFrame({"member_id": known, "registered_at": [datetime(2010, 1, 1)] * len(known)}, schema=AGE_SCHEMA)
    return plan_registry(
        records, clusters_of(persons), crosswalk, ages, {"crm"}, lambda keys: pl.int_range(first, first + len(keys), eager=True)
    )


def after(crosswalk: pl.DataFrame, planned: MergePlan) -> pl.DataFrame:
    """The crosswalk once the plan is written."""
    written = planned.new_links.select("system", "source_id", "member_id", pl.lit("dedupe").alias("linked_by"))
    kept = crosswalk.join(written, on=["system", "source_id"], how="anti")
    return pl.concat([kept, written.cast(CROSSWALK_SCHEMA)]).sort("system", "source_id")


def loaded(records: pl.DataFrame, crosswalk: pl.DataFrame) -> pl.DataFrame:
    """The crosswalk once the remaining single records are loaded, each with an id of its own."""
    single = records.join(crosswalk, on=["system", "source_id"], how="anti")
    rows = single.select("system", "source_id", (pl.col("record") + 5_000).alias("member_id"), pl.lit("load").alias("linked_by"))
    kept = pl.col("source_id").cast(pl.Int64)
    rows = rows.with_columns(pl.when(pl.col("system") == "crm").then(kept).otherwise("member_id").alias("member_id"))
    return pl.concat([crosswalk, rows.cast(CROSSWALK_SCHEMA)])


EMPTY = pl.DataFrame(schema=CROSSWALK_SCHEMA)


@settings(max_examples=100, deadline=None)
@given(systems, persons, ages)
def test_every_merged_member_has_one_id_and_a_rerun_changes_nothing(
    systems: list[str], persons: list[int], ages: list[int]
) -> None:
    records = make_records(systems, ages)
    first = plan(records, persons, EMPTY)
    crosswalk = after(EMPTY, first)
    again = plan(records, persons, crosswalk, first=2_000)

    assert (
        first.links.join(clusters_of(persons), on="record")
        .group_by("cluster")
        .agg(pl.col("member_id").n_unique())["member_id"]
        .to_list()
        == [1] * first.members
    )
    assert first.links["member_id"].n_unique() == clusters_of(persons)["cluster"].n_unique()
    assert first.retired.is_empty()
    assert again.new_links.is_empty()
    assert again.created.is_empty()
    assert again.retired.is_empty()
    assert again.to_split == ()


@settings(max_examples=100, deadline=None)
@given(systems, persons, ages, st.lists(st.integers(0, 9), min_size=2, max_size=4))
def test_arrivals_retire_only_ids_that_merge(
    systems: list[str], persons: list[int], ages: list[int], arrivals: list[int]
) -> None:
    """Everybody is loaded; then some records come of persons known and new, one of whom may join two that were apart."""
    records = make_records(systems, ages)
    crosswalk = loaded(records, after(EMPTY, plan(records, persons, EMPTY)))
    bridge = [person if person != 6 else 5 for person in persons]  # persons 5 and 6 turn out to be one
    more = make_records([*systems, *["pos"] * len(arrivals)], [*ages, *[0] * len(arrivals)])

    planned = plan(more, [*bridge, *arrivals], crosswalk, first=2_000)

    merged_ids = {5, 6} <= set(persons)
    assert planned.retired.height == (1 if merged_ids else 0)
    assert planned.to_split == ()
    written = after(crosswalk, planned)
    assert not set(planned.retired["member_id"]) & set(written["member_id"])
    untouched = crosswalk.join(planned.retired, on="member_id", how="anti")
    moved = untouched.join(written, on=["system", "source_id"], suffix="_after").filter(
        pl.col("member_id") != pl.col("member_id_after")
    )
    assert moved.is_empty()


@settings(max_examples=60, deadline=None)
@given(systems, persons, ages, st.integers(0, COUNT - 1))
def test_a_member_torn_apart_stays_and_is_told(systems: list[str], persons: list[int], ages: list[int], leaver: int) -> None:
    records = make_records(systems, ages)
    crosswalk = after(EMPTY, plan(records, persons, EMPTY))
    left = [99 if record == leaver else person for record, person in enumerate(persons)]

    planned = plan(records, left, crosswalk, first=2_000)

    was_merged = persons.count(persons[leaver]) > 1
    assert len(planned.to_split) == (1 if was_merged else 0)
    assert after(crosswalk, planned).equals(crosswalk)


def test_the_oldest_kept_id_survives_where_there_is_no_member_yet() -> None:
    records = make_records(["crm", "crm", "pos"], [3, 1, 0])

    assert plan(records, [1, 1, 1], EMPTY).links["member_id"].to_list() == [101, 101, 101]


def test_the_id_with_most_records_survives() -> None:
    records = make_records(["crm", "crm", "pos", "pos"], [0, 1, 0, 0])
    crosswalk = pl.DataFrame(
        [("crm", "100", 100, "load"), ("crm", "101", 101, "dedupe"), ("pos", "102", 101, "dedupe")],
        schema=CROSSWALK_SCHEMA,
        orient="row",
    )

    planned = plan(records, [1, 1, 1, 2], crosswalk)

    assert set(planned.links["member_id"]) == {101}
    assert planned.retired.rows() == [(100, 101)]
    assert merged_before(records, crosswalk)["record"].to_list() == [1, 2]


def test_entries_of_files_follow_a_retired_member() -> None:
    records = make_records(["crm", "crm"], [0, 1])
    crosswalk = pl.DataFrame(
        [("crm", "100", 100, "load"), ("crm", "101", 101, "load"), ("partner", "x", 101, "import")],
        schema=CROSSWALK_SCHEMA,
        orient="row",
    )

    planned = plan(records, [1, 1], crosswalk)

    followers = planned.links.filter(pl.col("system") == "partner")
    survivor = planned.links["member_id"][0]
    assert planned.retired.height == 1
    assert set(after(crosswalk, planned)["member_id"]) == {survivor}
    assert followers.height == (1 if survivor == 100 else 0)
