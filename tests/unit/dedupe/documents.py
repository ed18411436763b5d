"""Every report of deduplication with something in each of its places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import get_args

from etl.dedupe.answers import Decided
from etl.dedupe.decisions import Decision
from etl.dedupe.explanation import Decider, Explanation
from etl.dedupe.intervals import Interval
from etl.dedupe.labels import RecordRef
from etl.dedupe.metrics import PairCounts, Quality, Surplus
from etl.dedupe.model import FieldWeight, SystemCount, Thresholds
from etl.dedupe.model_view import LevelView, ModelView, compare_models
from etl.dedupe.plan import DedupePlan, FilledColumn, PlannedRule
from etl.dedupe.reach import Reach
from etl.dedupe.report import DedupeReport, ReasonPairs
from etl.dedupe.result import ArrivalCounts, DedupeResult, WriteCounts
from etl.dedupe.review_book import ExportedReview
from etl.dedupe.review_files import ImportedReview
from etl.dedupe.review_session import ReviewTally
from etl.dedupe.stakes import Stake
from etl.dedupe.status import DedupeStatus, RunLine
from etl.dedupe.train_command import Trained
from etl.dedupe.unmerge import CHANGED_SINCE, UNDECIDED
from etl.dedupe.unmerge_model import Origin, SplitGroup, SplitMember, UnmergeResult
from reports.document import Document
from reports.documents import (
    dedupe_explain,
    dedupe_model,
    dedupe_plan,
    dedupe_report,
    dedupe_review,
    dedupe_run,
    dedupe_status,
    dedupe_unmerge,
)
from reports.documents.dedupe_plan import REMARKS
from reports.documents.dedupe_texts import REASONS
from tests.unit.dedupe.reviewing import FACTS

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SYSTEMS = (SystemCount("crm", 10, 9), SystemCount("pos", 5, 5))
QUEUE = tuple(ReasonPairs(reason, 3, 1) for reason in REASONS)
RULE = PlannedRule("name and phone", ("name_pinyin", "phone"), 30, False)
REMARKED = tuple((code, "email", 3) for code in REMARKS)
PLAN = DedupePlan("chinese_members", "Chinese members", SYSTEMS, (FilledColumn("phone", 0.9),), REMARKED, (RULE,), 50, 5.0, -2.0)
RESULT = DedupeResult(
    True, 15, 14, {"crm": 10, "pos": 5}, 12, 2, 4, {2: 2}, dict.fromkeys(REASONS, 2), {"conflicting_id": 1}, 1, 3,
    WriteCounts(4, 2, 1, 4, 3, {"sale": 7}), "chinese_members", "1-abcd", "abcd" * 16, {"name and phone": 30},
    {"standardise": 1.0, "model": 1.0, "link": 1.0, "cluster": 1.0, "golden": 1.0, "write": 1.0, "save": 1.0}, {}, 1,
    arrivals=ArrivalCounts(6, 2, 1, 3, 1, 1, 1, 1),
)  # fmt: skip
SHARE = Interval(0.985, 0.97, 0.993)
BY_TRUTH = Quality("truth", 100, SHARE, SHARE, 0.98, PairCounts(90, 2, 8), Surplus(100, 15), Surplus(88, 2), 4)
BY_LABELS = Quality("labels", 100, SHARE, SHARE, 0.98, unknown=2, skipped=1)
REPORT = DedupeReport(
    "chinese_members", "1-abcd", "abcd" * 16, SYSTEMS, 15, 14, 12, Surplus(14, 2), BY_TRUTH, {1: 10, 2: 2}, QUEUE, QUEUE, QUEUE,
    Reach(14, 2, 8, 3, 1), (Stake(7, 500, Decimal("12.50"), 2, "crm,pos"),), True, 20, 5,
)  # fmt: skip
STATUS = DedupeStatus(
    (RunLine(2, TIME, None, "writing", "chinese_members", "1-abcd"), RunLine(1, TIME, TIME, "done", "chinese_members", "1-abcd")),
    2, 4, 1, 1, 3, 2, QUEUE, True,
)  # fmt: skip
LEFT, RIGHT = RecordRef("crm", "1"), RecordRef("pos", "B2")
WEIGHTS = (
    FieldWeight("prior", "Prior", "", None, None, -13.5),
    FieldWeight("name", "Name", "equal", "***", "***", 15.0, -2.0),
    FieldWeight("gender", "Gender", "differs", "***", "***", -6.6),
)
FOUND = Explanation(
    LEFT, RIGHT, True, "decision", -5.1, 5.0, -2.0, WEIGHTS, FACTS, "name and phone", "grey_zone",
    (LEFT, RecordRef("ecom", "3"), RIGHT),
    Decision("must_link", LEFT, RIGHT, "li.na", TIME, "known to the shop", 7), True, "chinese_members", "1-abcd",
)  # fmt: skip
LEVELS = tuple(
    LevelView("name", "Name", level, 0.9, 0.001, weight, learned, learned, True)
    for level, weight, learned in (("equal", 9.8, "trained"), ("close", 2.0, "fixed"), ("differs", -7.0, "assumed"))
)
MODEL = ModelView(
    "chinese_members", "Chinese members", "1-abcd", "abcd" * 16, 14, -13.5, Thresholds(5.0, -2.0), LEVELS, {"union id": 9}
)
OTHER = replace(MODEL, sha="ef" * 32, levels=(replace(LEVELS[0], weight=12.0), LEVELS[1]))


def documents(lang: str) -> Iterator[Document]:
    """All of them, in every state that changes a sentence."""
    over = replace(PLAN, rules=(replace(RULE, over_budget=True),))
    for plan in (PLAN, over, replace(PLAN, systems=())):
        yield dedupe_plan.plan_document(plan, lang)
    for result in (
        RESULT,
        replace(RESULT, executed=False),
        replace(RESULT, written=WriteCounts()),
        replace(RESULT, accepted=1, review={}, refused={}, to_split=0),
    ):
        yield dedupe_run.run_document(result, lang)
    for report in (
        REPORT,
        replace(REPORT, quality=BY_LABELS, sample_open=0),
        replace(REPORT, quality=None, sample=0, sample_open=0, stakes=(), stakes_known=False),
        replace(REPORT, review=(), sample_open=0, stakes=()),
    ):
        yield dedupe_report.report_document(report, lang)
    for status in (
        STATUS,
        replace(STATUS, runs=STATUS.runs[1:]),
        replace(STATUS, runs=STATUS.runs[1:], review=()),
        replace(STATUS, runs=()),
    ):
        yield dedupe_status.status_document(status, lang)
    yield from explanations(lang)
    yield from models(lang)
    yield from reviews(lang)
    yield from unmerges(lang)


def explanations(lang: str) -> Iterator[Document]:
    """Whatever may have decided."""
    for decider in get_args(Decider):
        yield dedupe_explain.explain_document(replace(FOUND, decider=decider), lang)
    apart = replace(FOUND, same=False, chain=(), decision=None, decisions_known=False, rule=None, weight=40.0)
    yield dedupe_explain.explain_document(apart, lang)
    different = Decision("cannot_link", LEFT, RIGHT, "li.na", TIME)
    yield dedupe_explain.explain_document(replace(apart, decision=different, weight=-40.0), lang)


def models(lang: str) -> Iterator[Document]:
    """Models, alone and side by side."""
    yield dedupe_model.model_document(MODEL, lang)
    yield dedupe_model.model_document(replace(MODEL, levels=LEVELS[:2]), lang)
    yield dedupe_model.model_document(replace(MODEL, personal_id=False), lang)
    for other in (MODEL, OTHER, replace(MODEL, sha="0" * 64)):
        yield dedupe_model.compare_document(compare_models(MODEL, other), lang)
    change = compare_models(MODEL, OTHER)
    for trained in (
        Trained(MODEL, None, None),
        Trained(MODEL, change, None),
        Trained(OTHER, change, Path("/tmp/model-1-abcd.json")),
    ):
        yield dedupe_model.trained_document(trained, lang)


def reviews(lang: str) -> Iterator[Document]:
    """Answers, however they came."""
    for tally in (ReviewTally(3, 2, 1, 1, 4), ReviewTally(0, 0, 0, 0, 0)):
        yield dedupe_review.tally_document(tally, lang)
    for masked in (True, False):
        yield dedupe_review.exported_document(ExportedReview(Path("/tmp/pairs.xlsx"), 9, 2, masked), lang)
    imported = ImportedReview(True, "pairs.xlsx", 9, 3, 2, 1, 2, 1)
    for one in (imported, replace(imported, executed=False), ImportedReview(True, "pairs.xlsx", 9, 0, 0, 0, 8, 1)):
        yield dedupe_review.imported_document(one, lang)
    for decided in (
        Decided(LEFT, RIGHT, "same", True),
        Decided(LEFT, RIGHT, "different", True),
        Decided(LEFT, RIGHT, None, True),
    ):
        yield dedupe_review.decided_document(decided, lang)
    yield dedupe_review.decided_document(Decided(LEFT, RIGHT, "same", False), lang)


def unmerges(lang: str) -> Iterator[Document]:
    """Members taken apart, or not."""
    groups = tuple(SplitGroup((LEFT,), 7, origin) for origin in get_args(Origin))
    quiet = SplitMember(7, groups, {"sale": 3}, {}, (), done=True)
    undecided = SplitMember(8, groups[:2], {}, {"sign_in": 2}, ("phone",), left_because=UNDECIDED)
    changed = SplitMember(9, groups[:1], {}, {}, (), left_because=CHANGED_SINCE)
    for executed, members in ((True, (quiet,)), (True, (quiet, undecided, changed)), (False, (quiet,)), (False, (undecided,))):
        yield dedupe_unmerge.unmerge_document(UnmergeResult(executed, members, 1, 0.5), lang)
