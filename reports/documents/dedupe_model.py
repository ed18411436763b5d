"""A trained model as a document: what each agreement and each difference weighs, as bars."""

from __future__ import annotations

from etl.dedupe.model_view import LevelView, ModelComparison, ModelView
from etl.dedupe.train_command import Trained
from reports.document import Bar, Document, Figure, Table, Verdict
from reports.documents.dedupe_texts import evidence_text
from reports.text import tr

ORIGINS = {
    "trained": "trained",
    "fixed": "fixed in the comparison set",
    "counted": "counted",
    "sampled": "sampled",
    "assumed": "assumed: nothing to learn from",
}
SAME_WEIGHT = 0.05


def model_document(model: ModelView, lang: str) -> Document:
    """What `dedupe model show` found."""
    assumed = sum(1 for level in model.levels if level.m_from == "assumed")
    text = (
        tr(lang, "{count} levels were never seen in training and rest on an assumption.", count=assumed)
        if assumed
        else tr(
            lang, "Every weight was learned from {records} records, or is fixed and documented.", records=f"{model.records:,}"
        )
    )
    return Document(
        title=tr(lang, "Deduplicate: model"),
        verdict=Verdict("ok" if model.personal_id and not assumed else "warn", text),
        figures=model_figures(model, lang),
        tables=(weights_table(model, lang), training_table(model, lang)),
        next_steps=(
            *without_personal_id(model, lang),
            tr(lang, "Run `membershift dedupe model train` after the data changed much; the model before it is kept."),
            tr(lang, "Run `membershift dedupe model compare FILE` to see how two models differ."),
        ),
        lang=lang,
    )


def without_personal_id(model: ModelView, lang: str) -> tuple[str, ...]:
    """What to do about a model that knows people by their names, contacts and birthdays alone; nothing for another."""
    if model.personal_id:
        return ()
    told = tr(
        lang,
        "No id of one person was among the comparisons, so more strangers weigh as much as one person does: raise "
        "`[dedupe] match_weight`, or measure a sample with `membershift dedupe review --sample`, before you merge.",
    )
    return (told,)


def model_figures(model: ModelView, lang: str) -> tuple[Figure, ...]:
    """What the model is."""
    return (
        Figure(tr(lang, "Model"), f"{model.name} {model.version}", model.sha[:12]),
        Figure(tr(lang, "Trained on"), model.records, tr(lang, "records")),
        Figure(tr(lang, "Prior weight"), f"{model.prior_weight:+.2f}", tr(lang, "of two records of which nothing is known")),
        Figure(tr(lang, "Merged from weight"), f"{model.thresholds.match:+.1f}"),
        Figure(tr(lang, "Reviewed from weight"), f"{model.thresholds.review:+.1f}"),
    )


def weights_table(model: ModelView, lang: str) -> Table:
    """Every level with its weight as a bar."""
    largest = max((abs(level.weight) for level in model.levels), default=1.0)
    rows = tuple(level_row(level, largest, lang) for level in model.levels)
    columns = (
        tr(lang, "Comparison"),
        tr(lang, "Outcome"),
        tr(lang, "Weight"),
        "",
        tr(lang, "Of matches (%)"),
        tr(lang, "Of other pairs (%)"),
        tr(lang, "Where from"),
    )
    note = tr(
        lang,
        "Weights are bits: +1 doubles the odds that two records are one person, -1 halves them. A star: rare values weigh more, "
        "frequent ones less.",
    )
    return Table(tr(lang, "What each outcome weighs"), columns, rows, note)


def level_row(level: LevelView, largest: float, lang: str) -> tuple[object, ...]:
    """One level."""
    origins = dict.fromkeys(tr(lang, ORIGINS.get(origin, origin)) for origin in (level.m_from, level.u_from))
    return (
        evidence_text(level.title, lang),
        evidence_text(level.level, lang) + (" *" if level.rarity else ""),
        f"{level.weight:+.2f}",
        Bar(0.0, level.weight, -largest, largest),
        percent(level.m),
        percent(level.u),
        " / ".join(origins),
    )


def percent(share: float) -> str:
    """A share in percent with three digits that mean something.

    >>> percent(0.91234), percent(0.0000123)
    ('91.2', '0.00123')
    """
    text = f"{100 * share:.3g}"
    return f"{100 * share:.8f}".rstrip("0") if "e" in text else text


def training_table(model: ModelView, lang: str) -> Table:
    """The pairs that training looked at."""
    columns = (tr(lang, "Block"), tr(lang, "Pairs"))
    rows = tuple((evidence_text(rule, lang), pairs) for rule, pairs in model.training_pairs.items())
    return Table(tr(lang, "Trained on pairs that share"), columns, rows)


def compare_document(comparison: ModelComparison, lang: str) -> Document:
    """What `dedupe model compare` found."""
    first, second = comparison.first, comparison.second
    changed = sum(1 for row in comparison.weights if differs(row[2], row[3]))
    if first.sha == second.sha:
        verdict = Verdict("ok", tr(lang, "Both are the same model."))
    elif changed:
        verdict = Verdict(
            "warn",
            tr(lang, "{count} weights differ, by {bits} bits at most.", count=changed, bits=f"{comparison.largest_change:.2f}"),
        )
    else:
        verdict = Verdict("ok", tr(lang, "No weight differs by more than a twentieth of a bit."))
    return Document(
        title=tr(lang, "Deduplicate: two models"),
        verdict=verdict,
        figures=(
            Figure("A", f"{first.name} {first.version}", first.sha[:12]),
            Figure("B", f"{second.name} {second.version}", second.sha[:12]),
            Figure(tr(lang, "Prior weight A"), f"{first.prior_weight:+.2f}"),
            Figure(tr(lang, "Prior weight B"), f"{second.prior_weight:+.2f}"),
        ),
        tables=(comparison_table(comparison, lang),),
        next_steps=(
            tr(lang, "Run `membershift dedupe run` to see what the model in use changes; nothing is written without --execute."),
        ),
        lang=lang,
    )


def comparison_table(comparison: ModelComparison, lang: str) -> Table:
    """Every level with both weights, and the difference as a bar."""
    largest = max(comparison.largest_change, 1.0)
    columns = (
        tr(lang, "Comparison"),
        tr(lang, "Outcome"),
        tr(lang, "Weight A"),
        tr(lang, "Weight B"),
        tr(lang, "From A to B"),
        "",
    )
    rows = tuple(
        (
            evidence_text(title, lang),
            evidence_text(level, lang),
            None if ours is None else f"{ours:+.2f}",
            None if theirs is None else f"{theirs:+.2f}",
            None if ours is None or theirs is None else f"{theirs - ours:+.2f}",
            None if ours is None or theirs is None else Bar(0.0, theirs - ours, -largest, largest),
        )
        for title, level, ours, theirs in comparison.weights
    )
    return Table(tr(lang, "Weights of both"), columns, rows)


def differs(ours: float | None, theirs: float | None) -> bool:
    """Whether two weights differ by more than rounding."""
    return ours is None or theirs is None or abs(ours - theirs) > SAME_WEIGHT


def trained_document(trained: Trained, lang: str) -> Document:
    """What `dedupe model train` made."""
    shown = model_document(trained.model, lang)
    if trained.change is None:
        text = tr(lang, "Trained on {records} records.", records=f"{trained.model.records:,}")
        tables = shown.tables
    elif trained.earlier is None:
        text = tr(lang, "Trained again: it is the same model.")
        tables = shown.tables
    else:
        text = tr(lang, "Trained again; the model before it is kept in {file}.", file=trained.earlier.name)
        tables = (*shown.tables, comparison_table(trained.change, lang))
    return Document(
        title=tr(lang, "Deduplicate: training"),
        verdict=Verdict("ok", text),
        figures=shown.figures,
        tables=tables,
        next_steps=(
            tr(lang, "Run `membershift dedupe run` to see what the model in use changes; nothing is written without --execute."),
        ),
        lang=lang,
    )
