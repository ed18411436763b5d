"""What taking a member apart did, or would do, as a document."""

from __future__ import annotations

from typing import Final

from etl.dedupe.unmerge_model import SplitMember, UnmergeResult
from reports.document import Document, Figure, Status, Table, Verdict
from reports.text import tr

ORIGINS: Final = {
    "stays": "keeps the member's id",
    "own id": "its own legacy id",
    "id it had": "the id it had before the merge",
    "new id": "a new id",
}
LEFT: Final = {
    "something happened to it after the merge": "something happened to it after the merge: say who it belongs to",
    "its crosswalk entries changed meanwhile": "its crosswalk entries changed meanwhile",
}


def unmerge_document(result: UnmergeResult, lang: str) -> Document:
    """What `dedupe unmerge` did."""
    moved = sum(sum(member.moves.values()) for member in result.members)
    return Document(
        title=tr(lang, "Deduplicate: unmerge"),
        verdict=verdict_of(result, lang),
        figures=(
            Figure(tr(lang, "Members taken apart"), result.done if result.executed else len(result.members)),
            Figure(tr(lang, "Members left as they are"), result.left),
            *already_figure(result, lang),
            Figure(tr(lang, "Rows that go back"), moved),
            Figure(tr(lang, "Decided: different people"), result.decisions, tr(lang, "so that no run joins them again")),
        ),
        tables=(groups_table(result, lang), *moves_table(result, lang), *later_table(result, lang)),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def already_figure(result: UnmergeResult, lang: str) -> tuple[Figure, ...]:
    """How many were named that need nothing; no figure when none were."""
    told = tr(lang, "by an earlier unmerge, and left as they are; name records to take a member further apart")
    return (Figure(tr(lang, "Taken apart before"), len(result.already), told),) if result.already else ()


def verdict_of(result: UnmergeResult, lang: str) -> Verdict:
    """Whether all was taken apart."""
    count = f"{len(result.members):,}"
    if result.already and not result.members:
        return Verdict("ok", tr(lang, "All of it was taken apart before: there is nothing to do."))
    if not result.executed:
        undecided = sum(1 for member in result.members if member.undecided)
        if undecided:
            return Verdict(
                "warn", tr(lang, "Dry run: {count} members, to be decided about: {open}.", count=count, open=f"{undecided:,}")
            )
        return Verdict("warn", tr(lang, "Dry run: nothing was written. {count} members would be taken apart.", count=count))
    if result.left:
        return Verdict("bad", tr(lang, "{left} of {count} members were left as they are.", left=f"{result.left:,}", count=count))
    return Verdict("ok", tr(lang, "{count} members were taken apart, as if they had never been joined.", count=count))


def groups_table(result: UnmergeResult, lang: str) -> Table:
    """Who each record is from now on."""
    columns = (
        "",
        tr(lang, "Member"),
        tr(lang, "Records"),
        tr(lang, "Becomes"),
        tr(lang, "Where its id comes from"),
        tr(lang, "Remark"),
    )
    rows = tuple(
        (
            member_status(member, result.executed),
            str(member.member_id),
            ", ".join(map(str, group.records)),
            None if group.member_id is None else str(group.member_id),
            tr(lang, ORIGINS[group.origin]),
            tr(lang, LEFT.get(member.left_because, member.left_because)) if member.left_because else None,
        )
        for member in result.members
        for group in member.groups
    )
    return Table(tr(lang, "Who is who"), columns, rows, status_column=0)


def member_status(member: SplitMember, executed: bool) -> Status:
    """A member's mark."""
    if not executed:
        return "warn" if member.undecided else "ok"
    return "ok" if member.done else "bad"


def moves_table(result: UnmergeResult, lang: str) -> tuple[Table, ...]:
    """Rows that go with their record; no table when none do."""
    rows = tuple((str(member.member_id), table, count) for member in result.members for table, count in member.moves.items())
    columns = (tr(lang, "Member"), tr(lang, "Table"), tr(lang, "Rows"))
    return (Table(tr(lang, "Rows that go back to their own record"), columns, rows),) if rows else ()


def later_table(result: UnmergeResult, lang: str) -> tuple[Table, ...]:
    """What happened after the merge, which belongs to no record; no table when nothing did."""
    rows: list[tuple[object, ...]] = []
    for member in result.members:
        rows += [(str(member.member_id), table, count) for table, count in member.later.items()]
        rows += [(str(member.member_id), tr(lang, "changed: {column}", column=column), None) for column in member.changed]
    note = tr(lang, "No staged record stands for these: they arose on the target. Somebody must say whose they are.")
    columns = (tr(lang, "Member"), tr(lang, "What"), tr(lang, "Rows"))
    return (Table(tr(lang, "What happened after the merge"), columns, tuple(rows), note),) if rows else ()


def next_steps(result: UnmergeResult, lang: str) -> tuple[str, ...]:
    """What to run next."""
    undecided = any(member.undecided and not member.done for member in result.members)
    steps = []
    if undecided:
        steps.append(
            tr(
                lang,
                "What came after the merge: `--later stay` leaves it with the member's id, `--later RECORD` names its owner.",
            )
        )
    if not result.executed and result.members:
        steps.append(tr(lang, "Run the same command with --execute to do it."))
    elif result.done:
        steps.append(tr(lang, "Run `membershift reconcile invariants`: sums are as before."))
    return tuple(steps)
