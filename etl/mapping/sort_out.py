"""Good rows from bad: one cheap look at whole columns, then a close look at the few rows that show something."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from etl.mapping.column_plan import ColumnPlan, system_key
from etl.mapping.findings import ROW, About, Findings
from etl.mapping.model import MemberSystem, Part, RejectRule
from etl.mapping.outcome import LINK_SCHEMA, TransformOutcome

Rules = Sequence[tuple[RejectRule, pl.Expr]]
Shown = dict[str, pl.Series]
"""Rows worth a close look, by question; a question without such rows is not there."""


def sort_out(
    part: Part, plans: Sequence[ColumnPlan], rules: Rules, staged: pl.DataFrame, values: pl.DataFrame
) -> TransformOutcome:
    """Reject, note and fit the rows of one frame. `staged` and `values` stand row by row."""
    beside = pl.concat([staged, values], how="horizontal").with_row_index(ROW)
    findings = Findings(staged.height, part.key)
    shown = ask(beside, plans, rules)
    find_damaged(beside, plans, shown, findings)
    find_ruled_out(beside, rules, shown, findings)
    for plan in plans:
        find_missing(beside, plan, part.key, shown, findings)
        find_changed(beside, plan, part.key, shown, findings)
    beside = find_misfits(beside, plans, part.key, findings)
    kept = findings.kept
    fitted = beside.select(plan.fitted for plan in plans)
    rows = fitted if kept is None else fitted.filter(kept)
    links = None if part.defines_member is None else links_of(part.defines_member, staged, kept, rows)
    return TransformOutcome(rows, findings.rejects(), findings.notes(), kept, links)


def ask(beside: pl.DataFrame, plans: Sequence[ColumnPlan], rules: Rules) -> Shown:
    """All questions about single rows, in one pass; those that no row answers with yes are dropped."""
    questions: dict[str, pl.Expr] = {}
    for plan in plans:
        target = plan.mapping.target
        if must_be_there(plan):
            questions[f"missing {target}"] = pl.col(plan.name).is_null()
        elif plan.why is not None:
            questions[f"missing {target}"] = unread(plan)
        if plan.suspects is not None:
            questions[f"changed {target}"] = plan.suspects & pl.col(plan.name).is_not_null()
        questions |= {f"damaged {flag}": pl.col(flag) for _, flag in plan.flags}
    questions |= {f"rule {number}": condition for number, (_, condition) in enumerate(rules)}
    answers = beside.select(expr.alias(name) for name, expr in questions.items())
    return {answer.name: answer for answer in answers if answer.any()}


def must_be_there(plan: ColumnPlan) -> bool:
    """NULL cannot be loaded, and nothing stands in for it."""
    return plan.required and plan.default is None


def unread(plan: ColumnPlan) -> pl.Expr:
    """There is no value although there is a source: it cannot be read, or it says "none" in its own way."""
    return pl.col(plan.name).is_null() & pl.any_horizontal(pl.col(source).is_not_null() for source in plan.mapping.sources)


def close_look(beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], asked: pl.Series) -> pl.DataFrame:
    """The rows for which `asked` is true, with only the columns that findings on `plan` need."""
    needed = dict.fromkeys((ROW, *keys, *plan.mapping.sources, plan.name))
    return beside.select(list(needed)).filter(asked)


def about(plan: ColumnPlan) -> About:
    """What findings on a column are about."""
    return About(plan.mapping.target, plan.mapping.sources, plan.mapping.personal)


def find_damaged(beside: pl.DataFrame, plans: Sequence[ColumnPlan], shown: Shown, findings: Findings) -> None:
    """Text with half a surrogate pair did not travel: what is staged is not what the source holds. Told once a source column."""
    told: set[str] = set()
    for plan in plans:
        for source, flag in plan.flags:
            if f"damaged {flag}" in shown and flag not in told:
                told.add(flag)
                what = About(plan.mapping.target, (source,), plan.mapping.personal or "text")
                findings.reject(beside.filter(shown[f"damaged {flag}"]), what, "damaged_text")


def find_ruled_out(beside: pl.DataFrame, rules: Rules, shown: Shown, findings: Findings) -> None:
    """Rows for which a reject rule of the mapping is true."""
    for number, (rule, _) in enumerate(rules):
        if f"rule {number}" in shown:
            rows = beside.filter(shown[f"rule {number}"])
            findings.reject(rows, About(rule.column, (), None), rule.code, pl.lit(rule.expression[:400]))


def find_missing(beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], shown: Shown, findings: Findings) -> None:
    """Values that could not be read, and those that are not there but must be."""
    asked = shown.get(f"missing {plan.mapping.target}")
    if asked is None:
        return
    why = pl.lit(None, dtype=pl.String) if plan.why is None else plan.why
    empty = close_look(beside, plan, keys, asked).with_columns(reason=why)
    bad, none = empty.filter(pl.col("reason").is_not_null()), empty.filter(pl.col("reason").is_null())
    if plan.mapping.on_bad == "reject" or must_be_there(plan):
        findings.reject(bad, about(plan), pl.col("reason"))
    else:
        findings.note(bad, about(plan), pl.col("reason"), pl.lit(replacement(plan)))
    if must_be_there(plan):
        findings.reject(none, about(plan), "null_not_allowed")


def replacement(plan: ColumnPlan) -> str:
    """What is loaded instead of a value that cannot be read."""
    return "loaded as NULL" if plan.mapping.default is None else f"loaded as {plan.mapping.default}"


def find_changed(beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], shown: Shown, findings: Findings) -> None:
    """Values that were changed beyond their spelling."""
    asked = shown.get(f"changed {plan.mapping.target}")
    if asked is None or plan.remark is None:
        return
    changed = close_look(beside, plan, keys, asked).with_columns(reason=plan.remark)
    findings.note(changed.filter(pl.col("reason").is_not_null()), about(plan), pl.col("reason"))


def find_misfits(beside: pl.DataFrame, plans: Sequence[ColumnPlan], keys: Sequence[str], findings: Findings) -> pl.DataFrame:
    """Values that the target column cannot hold; returns the frame, without those that are to be loaded as NULL instead."""
    checks = [(plan, check) for plan in plans for check in plan.fit.checks]
    if not checks:
        return beside
    worth = beside.select(check.screen.alias(str(number)) for number, (_, check) in enumerate(checks)).row(0)
    for (plan, check), worth_it in zip(checks, worth, strict=True):
        if not worth_it:
            continue
        fails = beside.select(check.fails.fill_null(value=False)).to_series()
        rows = close_look(beside, plan, keys, fails)
        if plan.mapping.on_bad == "reject" or must_be_there(plan):
            findings.reject(rows, about(plan), check.reason, check.detail)
        elif rows.height:
            findings.note(rows, about(plan), check.reason, check.detail)
            beside = beside.with_columns(pl.when(~fails).then(pl.col(plan.name)).alias(plan.name))
    return beside


def links_of(system: MemberSystem, staged: pl.DataFrame, kept: pl.Series | None, rows: pl.DataFrame) -> pl.DataFrame:
    """The crosswalk entries of the members that are loaded, for a part that defines members."""
    ids = staged.select(system_key(system, staged.schema[system.key])).to_series()
    return pl.DataFrame(
        {
            "source_id": ids if kept is None else ids.filter(kept),
            "member_id": rows["member_id"].cast(pl.Int64),
            "valid_from": rows[system.since],
        },
        schema=LINK_SCHEMA,
    )
