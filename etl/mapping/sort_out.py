"""Good rows from bad: one cheap look at whole columns, then a close look at the few that show something."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from etl.mapping.column_plan import ColumnPlan, system_key
from etl.mapping.findings import ROW, About, Findings
from etl.mapping.model import Part, RejectRule
from etl.mapping.outcome import LINK_SCHEMA, TransformOutcome

Rules = Sequence[tuple[RejectRule, pl.Expr]]


def sort_out(
    part: Part, plans: Sequence[ColumnPlan], rules: Rules, staged: pl.DataFrame, values: pl.DataFrame
) -> TransformOutcome:
    """Reject, note and fit the rows of one frame. `staged` and `values` stand row by row."""
    beside = pl.concat([staged, values], how="horizontal").with_row_index(ROW)
    findings = Findings(staged.height, part.key)
    shown = screen(beside, plans, rules)
    find_damaged(beside, plans, shown, findings)
    find_ruled_out(beside, rules, shown, findings)
    for plan in plans:
        find_missing(beside, plan, part.key, shown, findings)
        find_changed(beside, plan, part.key, shown, findings)
        beside = find_misfits(beside, plan, part.key, shown, findings)
    kept = findings.kept
    good = beside if kept is None else beside.filter(kept)
    rows = good.select(plan.fitted for plan in plans)
    return TransformOutcome(rows, findings.rejects(), findings.notes(), kept, links_of(part, good, rows))


def screen(beside: pl.DataFrame, plans: Sequence[ColumnPlan], rules: Rules) -> set[str]:
    """What is worth a close look: one pass over all columns, one boolean for each question."""
    questions: dict[str, pl.Expr] = {}
    for plan in plans:
        target, value = plan.mapping.target, pl.col(plan.name)
        if plan.required and plan.default is None:
            questions[f"missing {target}"] = value.null_count() > 0
        elif plan.why is not None:
            questions[f"missing {target}"] = unread(plan).any()
        if plan.suspects is not None:
            questions[f"changed {target}"] = plan.suspects.any()
        questions |= {f"misfit {target} {number}": check.screen for number, check in enumerate(plan.fit.checks)}
        questions |= {f"damaged {flag}": pl.col(flag).any() for _, flag in plan.flags}
    questions |= {f"rule {number}": condition.any() for number, (_, condition) in enumerate(rules)}
    if not questions:
        return set()
    answers = beside.select(expr.alias(name) for name, expr in questions.items()).row(0, named=True)
    return {name for name, answer in answers.items() if answer}


def unread(plan: ColumnPlan) -> pl.Expr:
    """There is no value although there is a source: it cannot be read, or it says "none" in words."""
    return pl.col(plan.name).is_null() & pl.any_horizontal(pl.col(source).is_not_null() for source in plan.mapping.sources)


def close_look(beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], condition: pl.Expr) -> pl.DataFrame:
    """The rows for which `condition` is true, with only the columns that findings on `plan` need."""
    needed = dict.fromkeys((ROW, *keys, *plan.mapping.sources, plan.name))
    return beside.select(list(needed)).filter(beside.select(condition.alias("asked")).to_series())


def about(plan: ColumnPlan) -> About:
    """What findings on a column are about."""
    return About(plan.mapping.target, plan.mapping.sources, plan.mapping.personal)


def find_damaged(beside: pl.DataFrame, plans: Sequence[ColumnPlan], shown: set[str], findings: Findings) -> None:
    """Text with half a surrogate pair did not travel: what is staged is not what the source holds. Told once a source column."""
    told: set[str] = set()
    for plan in plans:
        for source, flag in plan.flags:
            if f"damaged {flag}" in shown and flag not in told:
                told.add(flag)
                rows = beside.filter(pl.col(flag))
                findings.reject(rows, About(plan.mapping.target, (source,), plan.mapping.personal or "text"), "damaged_text")


def find_ruled_out(beside: pl.DataFrame, rules: Rules, shown: set[str], findings: Findings) -> None:
    """Rows for which a reject rule of the mapping is true."""
    for number, (rule, condition) in enumerate(rules):
        if f"rule {number}" in shown:
            findings.reject(beside.filter(condition), About(rule.column, (), None), rule.code, pl.lit(rule.expression[:400]))


def find_missing(beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], shown: set[str], findings: Findings) -> None:
    """Values that could not be read, and those that are not there but must be."""
    if f"missing {plan.mapping.target}" not in shown:
        return
    why = pl.lit(None, dtype=pl.String) if plan.why is None else plan.why
    # Member references ask about the id as the crosswalk writes it: a blank card number is no card number.
    must_be_there = plan.required and plan.default is None
    asked = pl.col(plan.name).is_null() if must_be_there else unread(plan)
    empty = close_look(beside, plan, keys, asked).with_columns(reason=why)
    bad, none = empty.filter(pl.col("reason").is_not_null()), empty.filter(pl.col("reason").is_null())
    if plan.mapping.on_bad == "reject" or must_be_there:
        findings.reject(bad, about(plan), pl.col("reason"))
    else:
        findings.note(bad, about(plan), pl.col("reason"), pl.lit(replacement(plan)))
    if must_be_there:
        findings.reject(none, about(plan), "null_not_allowed")


def replacement(plan: ColumnPlan) -> str:
    """What is loaded instead of a value that cannot be read."""
    return "loaded as NULL" if plan.mapping.default is None else f"loaded as {plan.mapping.default}"


def find_changed(beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], shown: set[str], findings: Findings) -> None:
    """Values that were changed beyond their spelling."""
    if f"changed {plan.mapping.target}" not in shown or plan.suspects is None or plan.remark is None:
        return
    asked = plan.suspects & pl.col(plan.name).is_not_null()
    changed = close_look(beside, plan, keys, asked).with_columns(reason=plan.remark)
    findings.note(changed.filter(pl.col("reason").is_not_null()), about(plan), pl.col("reason"), pl.lit("loaded without it"))


def find_misfits(
    beside: pl.DataFrame, plan: ColumnPlan, keys: Sequence[str], shown: set[str], findings: Findings
) -> pl.DataFrame:
    """Values that the target column cannot hold; returns the frame, without those that are to be loaded as NULL instead."""
    for number, check in enumerate(plan.fit.checks):
        if f"misfit {plan.mapping.target} {number}" not in shown:
            continue
        rows = close_look(beside, plan, keys, check.fails)
        if plan.mapping.on_bad == "reject" or (plan.required and plan.default is None):
            findings.reject(rows, about(plan), check.reason, check.detail)
        elif rows.height:
            findings.note(rows, about(plan), check.reason, check.detail)
            beside = beside.with_columns(pl.when(~check.fails).then(pl.col(plan.name)).alias(plan.name))
    return beside


def links_of(part: Part, good: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame | None:
    """The crosswalk entries of the members that are loaded, for a part that defines members."""
    system = part.defines_member
    if system is None:
        return None
    source_id = good.select(system_key(system, good.schema[system.key])).to_series()
    return pl.DataFrame(
        {"source_id": source_id, "member_id": rows["member_id"].cast(pl.Int64), "valid_from": rows[system.since]},
        schema=LINK_SCHEMA,
    )
