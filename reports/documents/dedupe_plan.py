"""The plan of a deduplication as a document: who takes part, what is odd, how many pairs each rule makes."""

from __future__ import annotations

from decimal import Decimal

from etl.dedupe.plan import DedupePlan
from reports.document import Bar, Document, Figure, Status, Table, Verdict
from reports.documents.dedupe_texts import evidence_text
from reports.text import tr

REMARKS = {
    "all_null": "No record has this: it can neither find nor tell anybody",
    "one_value": "All records have the same value: it tells nobody apart",
    "crowded": "A value that too many records share was left out",
    "duplicate_key": "Keys that stand more than once in their system",
    "nothing_to_compare": "No record has anything to compare",
    "no_records": "There are no records",
    "one_system": "There is only one system: only its own doubles can be found",
}


def plan_document(plan: DedupePlan, lang: str) -> Document:
    """What `dedupe plan` found."""
    return Document(
        title=tr(lang, "Deduplicate: plan"),
        verdict=verdict_of(plan, lang),
        figures=(
            Figure(tr(lang, "Records"), plan.records),
            Figure(tr(lang, "Taking part"), plan.accepted, tr(lang, "the others are rejected by the mapping")),
            Figure(tr(lang, "Pairs to compare"), plan.pairs, tr(lang, "at most: rules find some pairs twice")),
            Figure(tr(lang, "Budget of a rule"), plan.budget, tr(lang, "pairs: `pair_budget` in [dedupe]")),
            Figure(tr(lang, "Merged from weight"), f"{plan.match_weight:+.1f}"),
            Figure(tr(lang, "Reviewed from weight"), f"{plan.review_weight:+.1f}"),
            Figure(tr(lang, "Comparison set"), plan.model_name),
        ),
        tables=(systems_table(plan, lang), rules_table(plan, lang), *remarks_table(plan, lang), filled_table(plan, lang)),
        next_steps=next_steps(plan, lang),
        lang=lang,
    )


def verdict_of(plan: DedupePlan, lang: str) -> Verdict:
    """Whether a run would get through."""
    if plan.refused:
        names = ", ".join(evidence_text(rule.rule, lang) for rule in plan.refused)
        return Verdict("bad", tr(lang, "A run would be refused: these rules make too many pairs: {rules}.", rules=names))
    if plan.accepted < 2:
        return Verdict("warn", tr(lang, "There is nothing to compare: fewer than two records take part."))
    return Verdict(
        "ok",
        tr(lang, "{records} records can be compared in {pairs} pairs.", records=f"{plan.accepted:,}", pairs=f"{plan.pairs:,}"),
    )


def systems_table(plan: DedupePlan, lang: str) -> Table:
    """Records of each system."""
    columns = (tr(lang, "System"), tr(lang, "Records"), tr(lang, "Taking part"))
    return Table(tr(lang, "Records by system"), columns, tuple((one.system, one.records, one.accepted) for one in plan.systems))


def rules_table(plan: DedupePlan, lang: str) -> Table:
    """Pairs of each rule against the budget."""
    columns = ("", tr(lang, "Rule"), tr(lang, "Must agree"), tr(lang, "Pairs"), tr(lang, "Share of the budget"))
    rows = tuple(
        (
            rule_status(rule.over_budget),
            evidence_text(rule.rule, lang),
            ", ".join(rule.on),
            rule.pairs,
            Bar(0, min(rule.pairs, plan.budget), 0, plan.budget),
        )
        for rule in plan.rules
    )
    note = tr(lang, "A rule over the budget is refused before it runs: it would compare strangers by the million.")
    return Table(tr(lang, "Pairs by rule"), columns, rows, note, status_column=0)


def rule_status(over_budget: bool) -> Status:
    """A rule's mark."""
    return "bad" if over_budget else "ok"


def remarks_table(plan: DedupePlan, lang: str) -> tuple[Table, ...]:
    """What is odd about the records; no table when nothing is."""
    if not plan.remarks:
        return ()
    columns = (tr(lang, "What"), tr(lang, "Remark"), tr(lang, "Records"))
    rows = tuple((subject, tr(lang, REMARKS.get(code, code)), count or None) for code, subject, count in plan.remarks)
    return (Table(tr(lang, "Worth knowing about the records"), columns, rows),)


def filled_table(plan: DedupePlan, lang: str) -> Table:
    """How much of each fact is there."""
    columns = (tr(lang, "Column"), tr(lang, "Share of records (%)"), "")
    rows = tuple((one.column, Decimal(f"{100 * one.share:.1f}"), Bar(0, one.share, 0, 1)) for one in plan.filled)
    return Table(
        tr(lang, "How much is known"), columns, rows, tr(lang, "After placeholders and impossible values were taken out.")
    )


def next_steps(plan: DedupePlan, lang: str) -> tuple[str, ...]:
    """What to run next."""
    if plan.refused:
        return (
            tr(lang, "Give these rules a second column in the comparison set, or raise `pair_budget` in [dedupe]."),
            tr(lang, "Look at the values that most records share: a placeholder may be missing from the list."),
        )
    return (tr(lang, "Run `membershift dedupe run` to see who would be merged; nothing is written without --execute."),)
