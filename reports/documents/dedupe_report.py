"""How good a deduplication is, as a document: verdict, measured figures with their limits, and what waits for people."""

from __future__ import annotations

from etl.dedupe.intervals import Interval
from etl.dedupe.metrics import Quality, Surplus
from etl.dedupe.report import DedupeReport, ReasonPairs
from reports.document import Bar, Document, Figure, Table, Verdict
from reports.documents.dedupe_run import sizes_table
from reports.documents.dedupe_texts import evidence_text, reason_text
from reports.text import tr

SURPLUS_GOAL = 0.03
PRECISION_GOAL = 0.95
ENOUGH_LABELS = 50


def report_document(report: DedupeReport, lang: str) -> Document:
    """What `dedupe report` found."""
    return Document(
        title=tr(lang, "Deduplicate: report"),
        verdict=verdict_of(report, lang),
        figures=(
            Figure(tr(lang, "Records"), report.records),
            Figure(tr(lang, "Taking part"), report.accepted, tr(lang, "the others are rejected by the mapping")),
            Figure(tr(lang, "Members after merging"), report.members),
            *surplus_figures(report, lang),
            *quality_figures(report.quality, lang),
            Figure(tr(lang, "Pairs without an answer"), report.waiting),
            Figure(tr(lang, "Model"), f"{report.model_name} {report.model_version}", report.model_sha[:12]),
        ),
        tables=tables_of(report, lang),
        next_steps=next_steps(report, lang),
        lang=lang,
    )


def verdict_of(report: DedupeReport, lang: str) -> Verdict:
    """How good it is, as far as anybody measured."""
    quality = report.quality
    if quality is None:
        return Verdict("warn", tr(lang, "Nobody measured yet how good this is: no pair of a sample was answered."))
    values = {"precision": limits(quality.precision), "recall": limits(quality.recall)}
    if quality.basis == "labels":
        text = tr(lang, "By {count} labels: precision {precision}, recall {recall}.", count=f"{quality.pairs:,}", **values)
        good = quality.precision.low >= PRECISION_GOAL and quality.pairs >= ENOUGH_LABELS
    else:
        text = tr(
            lang,
            "Against the truth, on {count} pairs: precision {precision}, recall {recall}.",
            count=f"{quality.pairs:,}",
            **values,
        )
        left = quality.surplus_after.share if quality.surplus_after else 0.0
        good = quality.precision.value >= PRECISION_GOAL and left <= SURPLUS_GOAL
    return Verdict("ok" if good else "warn", text)


def limits(share: Interval) -> str:
    """A share with its limits, in percent.

    >>> limits(Interval(0.985, 0.97, 0.993))
    '98.50 % (97.00 to 99.30)'
    """
    return f"{100 * share.value:.2f} % ({100 * share.low:.2f} to {100 * share.high:.2f})"


def surplus_figures(report: DedupeReport, lang: str) -> tuple[Figure, ...]:
    """Surplus ids before and after, as far as they are known."""
    quality = report.quality
    if quality is None or quality.surplus_before is None or quality.surplus_after is None:
        found = report.surplus_found
        note = tr(
            lang, "{share} % of the ids; how many were not found, the truth or labels must tell", share=f"{100 * found.share:.1f}"
        )
        return (Figure(tr(lang, "Surplus ids found"), found.surplus, note),)
    before, after = quality.surplus_before, quality.surplus_after
    return (
        Figure(tr(lang, "Surplus ids before"), before.surplus, share_of_ids(before, lang)),
        Figure(tr(lang, "Surplus ids after"), after.surplus, share_of_ids(after, lang)),
    )


def share_of_ids(surplus: Surplus, lang: str) -> str:
    """Surplus ids as a share of all."""
    return tr(lang, "{share} % of {ids} ids", share=f"{100 * surplus.share:.2f}", ids=f"{surplus.ids:,}")


def quality_figures(quality: Quality | None, lang: str) -> tuple[Figure, ...]:
    """Precision and recall with their limits, and what they were measured on."""
    if quality is None:
        return ()
    if quality.basis == "truth":
        on = tr(lang, "on all pairs, against the truth; in brackets 95 % limits (Wilson)")
        recall_on = on
    else:
        on = tr(lang, "on {count} labelled pairs; in brackets 95 % limits (Wilson, by weight band)", count=f"{quality.pairs:,}")
        recall_on = tr(lang, "of pairs that were compared and kept: what shares nothing is in no sample")
    figures = (
        Figure(tr(lang, "Precision"), limits(quality.precision), on),
        Figure(tr(lang, "Recall"), limits(quality.recall), recall_on),
        Figure("F1", f"{quality.f1:.4f}"),
    )
    if quality.counts is None:
        unknown = Figure(tr(lang, "Weight bands without a label"), quality.unknown, tr(lang, "nothing is known about them"))
        return (*figures, unknown)
    wrong = Figure(
        tr(lang, "Pairs merged wrongly"),
        quality.counts.wrong,
        tr(lang, "of {count}", count=f"{quality.counts.right + quality.counts.wrong:,}"),
    )
    missed = Figure(
        tr(lang, "Pairs missed"),
        quality.counts.missed,
        tr(lang, "of {count}", count=f"{quality.counts.right + quality.counts.missed:,}"),
    )
    return (*figures, wrong, missed)


def tables_of(report: DedupeReport, lang: str) -> tuple[Table, ...]:
    """The figures behind the verdict."""
    systems = tuple((one.system, one.records, one.accepted) for one in report.systems)
    sizes = {str(size): count for size, count in sorted(report.sizes.items())}
    return (
        Table(tr(lang, "Records by system"), (tr(lang, "System"), tr(lang, "Records"), tr(lang, "Taking part")), systems),
        rules_table(report, lang),
        *queue_table(report.review, tr(lang, "Review queue"), lang),
        *queue_table(report.refused, tr(lang, "Merges refused"), lang),
        sizes_table(sizes, (tr(lang, "Records a member"), tr(lang, "Members"), ""), lang),
        *stakes_table(report, lang),
        reach_table(report, lang),
    )


def rules_table(report: DedupeReport, lang: str) -> Table:
    """Kept pairs by rule."""
    most = max((rule.pairs for rule in report.rules), default=1)
    rows = tuple((evidence_text(rule.reason, lang), rule.pairs, Bar(0, rule.pairs, 0, most)) for rule in report.rules)
    note = tr(lang, "Pairs heavy enough to be reviewed or merged, by the first rule that found them.")
    return Table(tr(lang, "Pairs by rule"), (tr(lang, "Rule"), tr(lang, "Pairs"), ""), rows, note)


def queue_table(queue: tuple[ReasonPairs, ...], title: str, lang: str) -> tuple[Table, ...]:
    """Pairs by reason; no table when there are none."""
    if not queue:
        return ()
    rows = tuple((reason_text(one.reason, lang), one.pairs, one.answered) for one in queue)
    return (Table(title, (tr(lang, "Reason"), tr(lang, "Pairs"), tr(lang, "Answered")), rows),)


def stakes_table(report: DedupeReport, lang: str) -> tuple[Table, ...]:
    """The merges that would cost most if they were wrong."""
    if not report.stakes:
        return ()
    columns = (tr(lang, "Member id"), tr(lang, "Points"), tr(lang, "Balance"), tr(lang, "Records"), tr(lang, "Systems"))
    rows = tuple((str(one.member_id), one.points, one.balance, one.records, one.systems) for one in report.stakes)
    note = tr(lang, "Look at these first: a wrong merge here gives a stranger the most.")
    return (Table(tr(lang, "Merges with the most points or money at stake"), columns, rows, note),)


def reach_table(report: DedupeReport, lang: str) -> Table:
    """What no rule can find."""
    reach = report.reach
    rows: list[tuple[object, ...]] = [
        (tr(lang, "Records that share a key with another, and were compared"), reach.compared),
        (tr(lang, "Records with values that nobody shares"), reach.alone),
        (tr(lang, "Records with too little in them for any rule"), reach.keyless),
    ]
    if reach.missed_seen is not None and reach.missed_unseen is not None:
        rows += [
            (tr(lang, "Missed pairs that share no key: no rule could find them"), reach.missed_unseen),
            (tr(lang, "Missed pairs that share a key: they weighed too little, or were refused"), reach.missed_seen),
        ]
    note = tr(
        lang, "Two records of one person that share nothing cannot be found by anybody; ask for more facts where they arise."
    )
    return Table(tr(lang, "What cannot be found"), ("", tr(lang, "Count")), tuple(rows), note)


def next_steps(report: DedupeReport, lang: str) -> tuple[str, ...]:
    """What to do with it."""
    steps = []
    if report.quality is None and not report.sample:
        steps.append(
            tr(
                lang,
                "Run `membershift dedupe review --sample --size 200`, answer, report again: this measures precision.",
            )
        )
    elif report.sample_open:
        steps.append(
            tr(
                lang,
                "{count} pairs of the sample have no answer yet: run `membershift dedupe review --sample`.",
                count=f"{report.sample_open:,}",
            )
        )
    if report.waiting:
        steps.append(tr(lang, "Run `membershift dedupe review`, or `membershift dedupe review export` for a business team."))
    if report.stakes:
        steps.append(
            tr(
                lang,
                "Run `membershift dedupe explain` on records of the largest merges; `membershift dedupe unmerge` takes one back.",
            )
        )
    elif not report.stakes_known:
        steps.append(tr(lang, "Points and money at stake are shown once merged members are on the target."))
    if not steps:
        steps.append(tr(lang, "Nothing waits: go on with `membershift load --execute`."))
    return tuple(steps)
