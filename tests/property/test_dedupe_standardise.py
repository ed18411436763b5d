"""Standardising: whatever is typed gives a value or null, never an error, and a standard value stays as it is."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.dedupe.standardise import KINDS
from etl.dedupe.standardise_names import chinese_names

typed = st.lists(
    st.none() | st.text(max_size=30) | st.text(alphabet="张伟欧阳娜李先生 0123456789xX*.-+@a工路号楼室一年月日", max_size=24),
    max_size=12,
)


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=40, deadline=None)
@given(values=typed)
def test_any_text_gives_one_row_of_each_column(kind: str, values: list[str | None]) -> None:
    made = KINDS[kind].read(pl.Series(values, dtype=pl.String))
    assert [len(column) for column in made] == [len(values)] * len(KINDS[kind].columns)
    assert [column.dtype for column in made] == list(KINDS[kind].types)
    for column in made:
        assert all(column[row] is None for row, value in enumerate(values) if value is None)


@pytest.mark.parametrize(
    "kind", ["phone", "email", "id", "letters", "text", "digits", "gender", "chinese_id_card", "chinese_name"]
)
@settings(max_examples=40, deadline=None)
@given(values=typed)
def test_a_standard_value_stays_as_it_is(kind: str, values: list[str | None]) -> None:
    once = KINDS[kind].read(pl.Series(values, dtype=pl.String))[0]
    assert KINDS[kind].read(once)[0].to_list() == once.to_list()


@settings(max_examples=60, deadline=None)
@given(
    given=st.text(alphabet="伟芳娜敏静丽强磊军洋", min_size=1, max_size=2),
    surname=st.sampled_from(["張", "欧阳", "单", "肖", "諸葛"]),
)
def test_spellings_of_a_name_meet(surname: str, given: str) -> None:
    spellings = [surname + given, f"{surname} {given}", f"　{surname}{given}先生", f"{surname}·{given}😊"]
    names = chinese_names(pl.Series(spellings))
    assert names.n_unique() == 1
    assert names["surname"][0] + names["given"][0] == names["name"][0]
