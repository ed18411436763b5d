"""What keeps two records apart although their pair is strong."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from etl.dedupe.cluster import cluster_edges
from etl.dedupe.constraints import EvidenceColumns, evidence_columns
from etl.dedupe.read_model import open_model
from etl.dedupe.result import Clustering, Thresholds

COLUMNS = EvidenceColumns("card", ("card", "union_id"), "name", "surname", "given", "pinyin", "birthday", "phone")
SCHEMA = {
    "name": pl.String(),
    "surname": pl.String(),
    "given": pl.String(),
    "pinyin": pl.String(),
    "birthday": pl.Date(),
    "phone": pl.String(),
    "card": pl.String(),
    "union_id": pl.String(),
}
WEI = ("张伟", "张", "伟", "zhangwei")
MIN = ("张敏", "张", "敏", "zhangmin")
NOBODY = (None, None, None, None)
YOUNG, OLD = date(1990, 5, 6), date(1960, 1, 1)
Row = tuple[object, ...]


def cluster(rows: list[Row], edges: list[tuple[int, int, float]], largest: int = 10) -> Clustering:
    """Rows: name parts, birthday, phone, card, union id."""
    records = pl.DataFrame([dict(zip(SCHEMA, row, strict=True)) for row in rows], schema=SCHEMA).with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("record"), pl.lit(value=True).alias("accepted")
    )
    frame = pl.DataFrame(edges, schema={"left": pl.Int64, "right": pl.Int64, "weight": pl.Float64}, orient="row")
    return cluster_edges(records, frame, Thresholds(6.0, 0.0, largest), COLUMNS)


def reasons(found: Clustering) -> tuple[list[str], list[str]]:
    """Of pairs to review, and of pairs refused."""
    return found.review["reason"].to_list(), found.refused["reason"].to_list()


@pytest.mark.parametrize(
    ("left", "right", "review", "refused"),
    [
        pytest.param((*WEI, YOUNG, "1", None, None), (*WEI, None, "1", None, None), [], [], id="one person"),
        pytest.param((*WEI, YOUNG, "1", "A", None), (*WEI, YOUNG, "1", "B", None), [], ["conflicting_id"], id="two cards"),
        pytest.param((*WEI, YOUNG, "1", None, None), (*MIN, YOUNG, "1", None, None), ["twins"], [], id="twins"),
        pytest.param((*WEI, None, "1", None, None), (*MIN, None, "1", None, None), [], ["conflicting_name"], id="spouses"),
        pytest.param((*NOBODY, YOUNG, "1", None, None), (*WEI, OLD, "1", None, None), ["parent_child"], [], id="parent"),
        pytest.param((*WEI, YOUNG, "1", None, None), (*WEI, OLD, "1", None, None), [], [], id="same name, birthday mistyped"),
        pytest.param((*WEI, YOUNG, "1", None, "u"), (*MIN, YOUNG, "1", None, "u"), [], [], id="one union id, new name"),
    ],
)
def test_two_records(left: Row, right: Row, review: list[str], refused: list[str]) -> None:
    found = cluster([left, right], [(0, 1, 12.0)])

    assert reasons(found) == (review, refused)
    assert found.persons == (0 if review or refused else 1)


def test_a_record_without_a_name_does_not_bridge_two_people() -> None:
    found = cluster(
        [(*WEI, None, "1", None, None), (*NOBODY, None, "1", None, None), (*MIN, None, "1", None, None)],
        [(0, 1, 9.0), (1, 2, 8.0)],
    )

    assert found.clusters.rows() == [(0, 0), (1, 0)]
    assert found.refused["reason"].to_list() == ["conflicting_name"]


def test_too_large_a_group_is_split_at_its_weakest_pairs_and_told() -> None:
    rows: list[Row] = [(*WEI, None, "1", None, None)] * 6
    found = cluster(rows, [(0, 1, 20.0), (1, 2, 19.0), (3, 4, 18.0), (4, 5, 17.0), (2, 3, 7.0)], largest=3)

    assert found.clusters["cluster"].to_list() == [0, 0, 0, 3, 3, 3]
    assert found.review.rows() == [(2, 3, 7.0, "split")]
    assert found.split == 1


def test_of_the_pairs_between_two_people_only_the_strongest_is_asked() -> None:
    rows: list[Row] = [(*WEI, None, None, None, None)] * 4
    found = cluster(rows, [(0, 1, 20.0), (2, 3, 20.0), (0, 2, 3.0), (1, 3, 5.0), (0, 3, 4.0)])

    assert found.review.rows() == [(1, 3, 5.0, "grey_zone")]


def test_nothing_to_compare_is_nothing() -> None:
    found = cluster([(*WEI, None, None, None, None)], [])

    assert found.clusters.is_empty()
    assert found.review.is_empty()
    assert found.refused.is_empty()


def test_the_model_of_chinese_members_tells_all_columns() -> None:
    columns = evidence_columns(open_model("chinese_members"))

    assert columns.card == "id_card"
    assert "union_id" in columns.ids
    assert None not in (columns.name, columns.surname, columns.given, columns.pinyin, columns.birthday, columns.phone)
