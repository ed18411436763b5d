"""One run of a deduplication as a document."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from etl.dedupe.result import DedupeResult
from reports.document import Bar, Document, Figure, Table, Verdict, human_duration
from reports.documents.dedupe_texts import evidence_text, reason_text
from reports.text import told, tr


def run_document(result: DedupeResult, lang: str) -> Document:
    """What `dedupe run` decided, and wrote or would write."""
    written = result.written
    return Document(
        title=tr(lang, "Deduplicate: run"),
        verdict=verdict_of(result, lang),
        figures=(
            Figure(tr(lang, "Records"), result.records),
            Figure(tr(lang, "Taking part"), result.accepted, tr(lang, "the others are rejected by the mapping")),
            Figure(tr(lang, "Persons"), result.persons, tr(lang, "members after merging, single records included")),
            Figure(
                tr(lang, "Surplus ids found"),
                result.accepted - result.persons,
                tr(lang, "{share} % of the ids; what was not found is told by labels", share=f"{100 * result.surplus_share:.1f}"),
            ),
            Figure(tr(lang, "Merged members"), result.merged_members),
            Figure(tr(lang, "Records in them"), result.merged_records),
            Figure(tr(lang, "Pairs for review"), sum(result.review.values())),
            Figure(tr(lang, "Crosswalk entries"), written.links),
            Figure(tr(lang, "Golden records"), written.members),
            Figure(tr(lang, "Retired member ids"), written.retired, tr(lang, "they lead to the survivor for ever")),
            Figure(tr(lang, "Model"), f"{result.model_name} {result.model_version}", result.model_sha[:12]),
            Figure(tr(lang, "Time"), human_duration(sum(result.seconds.values()))),
        ),
        tables=tables_of(result, lang),
        next_steps=next_steps(result, lang),
        lang=lang,
    )


def verdict_of(result: DedupeResult, lang: str) -> Verdict:
    """What became of the members."""
    values = {"members": f"{result.merged_members:,}", "records": f"{result.merged_records:,}"}
    if result.accepted < 2:
        return Verdict("warn", tr(lang, "There is nothing to compare: fewer than two records take part."))
    if result.executed and result.written.nothing:
        return Verdict("ok", tr(lang, "Nothing changed: {records} records are {members} members, as before.", **values))
    if result.executed:
        return Verdict("ok", tr(lang, "{records} records became {members} members, every merge with its reason.", **values))
    return Verdict("warn", tr(lang, "Dry run: nothing was written. {records} records would become {members} members.", **values))


def tables_of(result: DedupeResult, lang: str) -> tuple[Table, ...]:
    """Whatever has something to say."""
    pairs, members = tr(lang, "Pairs"), tr(lang, "Members")
    sizes = {f"{size}": count for size, count in sorted(result.sizes.items())}
    seconds = tuple((evidence_text(step, lang), Decimal(f"{taken:.1f}")) for step, taken in result.seconds.items())
    return (
        *arrivals_table(result, lang),
        counted(tr(lang, "Records by system"), (tr(lang, "System"), tr(lang, "Records")), result.systems),
        counted(tr(lang, "Pairs by rule"), (tr(lang, "Rule"), pairs), named_rules(result, lang)),
        sizes_table(sizes, (tr(lang, "Records a member"), members, ""), lang),
        *reasons(result.review, tr(lang, "Waiting for review"), lang),
        *reasons(result.refused, tr(lang, "Merges refused"), lang),
        *(
            (
                counted(
                    tr(lang, "Rows that moved to their survivor"), (tr(lang, "Table"), tr(lang, "Rows")), result.written.repointed
                ),
            )
            if result.written.repointed
            else ()
        ),
        Table(tr(lang, "Time by step"), (tr(lang, "Step"), tr(lang, "Seconds")), seconds),
    )


def arrivals_table(result: DedupeResult, lang: str) -> tuple[Table, ...]:
    """What became of arrivals, where only they were matched."""
    counts = result.arrivals
    if counts is None:
        return ()
    rows = (
        (tr(lang, "New records that are somebody known"), counts.joined),
        (tr(lang, "New records that are one with one another"), counts.merged_among),
        (tr(lang, "New records that stand alone"), counts.alone),
        (tr(lang, "New records that the mapping rejects"), counts.rejected),
        (tr(lang, "New records that wait for review"), counts.waiting),
        (tr(lang, "Records that changed"), counts.changed),
        (tr(lang, "Records that are no longer staged"), counts.gone),
    )
    return (Table(tr(lang, "What arrived since the last run"), (tr(lang, "Arrivals"), tr(lang, "Records")), rows),)


def named_rules(result: DedupeResult, lang: str) -> dict[str, int]:
    """Pairs by rule, the rules as people call them."""
    return {evidence_text(rule, lang): pairs for rule, pairs in result.pairs_by_rule.items()}


def counted(title: str, columns: tuple[str, ...], counts: Mapping[str, int]) -> Table:
    """A table of names and counts."""
    return Table(title, columns, tuple(counts.items()))


def sizes_table(sizes: Mapping[str, int], columns: tuple[str, str, str], lang: str) -> Table:
    """How many records members have."""
    most = max(sizes.values(), default=1)
    rows = tuple((size, count, Bar(0, count, 0, most)) for size, count in sizes.items())
    return Table(tr(lang, "Size of members"), columns, rows)


def reasons(counts: Mapping[str, int], title: str, lang: str) -> tuple[Table, ...]:
    """Pairs by reason, in words; nothing when there are none."""
    if not counts:
        return ()
    rows = tuple((reason_text(reason, lang), count) for reason, count in sorted(counts.items(), key=lambda item: -item[1]))
    return (Table(title, (tr(lang, "Reason"), tr(lang, "Pairs")), rows),)


def next_steps(result: DedupeResult, lang: str) -> tuple[str, ...]:
    """What to run next."""
    steps = [told(lang, note) for note in result.notes]
    if not result.executed and result.accepted > 1:
        steps.append(tr(lang, "Run `membershift dedupe run --execute` to write the crosswalk and the golden records."))
    if result.review:
        steps.append(tr(lang, "Run `membershift dedupe review` to answer the doubtful pairs; the next run heeds the answers."))
    if result.to_split:
        steps.append(
            tr(
                lang,
                "{count} members hold records that now seem to be several people: look at them with "
                "`membershift dedupe explain`, take them apart with `membershift dedupe unmerge`.",
                count=f"{result.to_split:,}",
            )
        )
    steps.append(tr(lang, "Run `membershift dedupe report` to see how good this is, and on what that was measured."))
    if result.executed:
        steps.append(tr(lang, "Then run `membershift load --execute`."))
    return tuple(steps)
