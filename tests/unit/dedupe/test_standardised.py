"""Kept chunks: used while content and rules are the same, forgotten when they are not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl

from etl.dedupe.read_model import open_model
from etl.dedupe.standardised import Standardised
from etl.mapping.load_mapping import load_mapping
from etl.settings import MappingSettings, Settings, SourceSettings, StateSettings, TargetSettings
from etl.stage.read import StagedChunk

SET = open_model("chinese_members")
MAPPING = load_mapping(MappingSettings(), Path())
PART = MAPPING.part("member/crm")
FRAME = pl.DataFrame({"name": ["张伟"]})


def settings_in(folder: Path) -> Settings:
    """Settings whose state is in `folder`."""
    return Settings(
        source=SourceSettings(url="mssql://u:p@127.0.0.1:1"),  # type: ignore[arg-type]  # pydantic makes the secret
        target=TargetSettings(url="mysql://u:p@127.0.0.1:1"),  # type: ignore[arg-type]  # pydantic makes the secret
        state=StateSettings(dir=folder),
    )


def chunk(sha256: str) -> StagedChunk:
    """A staged chunk with this content."""
    return StagedChunk(0, Path("chunk"), 1, sha256, None, None)


def test_the_same_chunk_is_kept_and_another_is_not(tmp_path: Path) -> None:
    kept = Standardised(settings_in(tmp_path), MAPPING, SET, None)
    assert kept.read(PART, chunk("a")) is None
    kept.keep(PART, chunk("a"), FRAME)
    again = Standardised(settings_in(tmp_path), MAPPING, SET, None)
    found = again.read(PART, chunk("a"))
    assert found is not None
    assert found.equals(FRAME)
    assert again.read(PART, chunk("b")) is None


def test_other_rules_are_another_chunk(tmp_path: Path) -> None:
    Standardised(settings_in(tmp_path), MAPPING, SET, None).keep(PART, chunk("a"), FRAME)
    fewer = replace(SET, fields=SET.fields[:-1])
    assert Standardised(settings_in(tmp_path), MAPPING, fewer, None).read(PART, chunk("a")) is None
    assert Standardised(settings_in(tmp_path), MAPPING, SET, {}).read(PART, chunk("a")) is None
    assert Standardised(settings_in(tmp_path), replace(MAPPING, fingerprint="x"), SET, None).read(PART, chunk("a")) is None


def test_what_a_run_had_no_use_for_is_removed_but_not_the_other_way_s(tmp_path: Path) -> None:
    rough = Standardised(settings_in(tmp_path), MAPPING, SET, None)
    exact = Standardised(settings_in(tmp_path), MAPPING, SET, {})
    for kept in (rough, exact):
        kept.keep(PART, chunk("a"), FRAME)
    later = Standardised(settings_in(tmp_path), MAPPING, SET, None)
    later.read(PART, chunk("b"))
    later.forget_others()
    assert not rough.path(PART, chunk("a")).exists()
    assert exact.path(PART, chunk("a")).exists()
