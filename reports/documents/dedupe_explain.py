"""Why two records are one person, or are not, as a document with a waterfall of weights."""

from __future__ import annotations

from typing import Final

from etl.dedupe.explanation import Explanation
from etl.dedupe.model import FieldWeight
from reports.document import Bar, Document, Figure, Status, Table, Verdict
from reports.documents.dedupe_texts import evidence_text, fact_title, reason_text
from reports.text import tr

DECIDERS: Final = {
    "decision": "Somebody decided it.",
    "constraint": "A constraint refused the merge.",
    "weight": "The weight alone decided it.",
    "others": "Each is one with a third record; the two themselves weigh less.",
    "review": "It waits for an answer of a person.",
    "too_light": "Too little speaks for it, not even enough to ask.",
    "not_compared": "The two were never compared: they share the key of no blocking rule.",
    "rejected": "The mapping rejects one of the two: it takes no part until load accepts it.",
}


def explain_document(found: Explanation, lang: str) -> Document:
    """What `dedupe explain` found."""
    return Document(
        title=tr(lang, "Deduplicate: {left} and {right}", left=found.left, right=found.right),
        verdict=verdict_of(found, lang),
        figures=figures_of(found, lang),
        tables=(waterfall_table(found, lang), facts_table(found, lang)),
        next_steps=next_steps(found, lang),
        lang=lang,
    )


def verdict_of(found: Explanation, lang: str) -> Verdict:
    """One person or two, and what decided."""
    status: Status = "warn" if found.decider in ("review", "not_compared", "rejected") else "ok"
    what = tr(lang, "One person.") if found.same else tr(lang, "Two people.")
    why = tr(lang, DECIDERS[found.decider])
    detail = f" {reason_text(found.reason, lang)}." if found.reason and found.decider in ("constraint", "review") else ""
    return Verdict(status, f"{what} {why}{detail}")


def figures_of(found: Explanation, lang: str) -> tuple[Figure, ...]:
    """The weight against the thresholds, and everything else that had a say."""
    odds = tr(lang, "odds {odds} that they are one person", odds=odds_text(found.weight))
    figures = [
        Figure(tr(lang, "Match weight"), f"{found.weight:+.2f}", odds),
        Figure(tr(lang, "Merged from weight"), f"{found.match_weight:+.1f}"),
        Figure(tr(lang, "Reviewed from weight"), f"{found.review_weight:+.1f}"),
        Figure(tr(lang, "Found by rule"), evidence_text(found.rule, lang) if found.rule else tr(lang, "none kept it")),
        Figure(tr(lang, "Model"), f"{found.model_name} {found.model_version}"),
    ]
    if found.chain:
        figures.append(Figure(tr(lang, "Joined through"), ", ".join(map(str, found.chain))))
    if found.reason:
        figures.append(Figure(tr(lang, "Remark of the run"), reason_text(found.reason, lang)))
    if found.decision is not None:
        figures.append(
            Figure(
                tr(lang, "Decision"),
                tr(lang, "same person") if found.decision.kind == "must_link" else tr(lang, "different people"),
                tr(
                    lang,
                    "by {name} at {time} (UTC)",
                    name=found.decision.decided_by,
                    time=f"{found.decision.decided_at:%Y-%m-%d %H:%M}" if found.decision.decided_at else "?",
                ),
            )
        )
    elif not found.decisions_known:
        figures.append(Figure(tr(lang, "Decision"), tr(lang, "not known"), tr(lang, "the target cannot be reached")))
    return tuple(figures)


def odds_text(weight: float) -> str:
    """2 to the weight, as people write odds.

    >>> odds_text(10), odds_text(-3.0), odds_text(0), odds_text(80)
    ('1,024 : 1', '1 : 8', '1 : 1', '> 1,000,000,000 : 1')
    """
    if abs(weight) > 30:
        return "> 1,000,000,000 : 1" if weight > 0 else "< 1 : 1,000,000,000"
    return f"{2**weight:,.0f} : 1" if weight >= 0 else f"1 : {2**-weight:,.0f}"


def waterfall_table(found: Explanation, lang: str) -> Table:
    """Each weight from where the one above it ended, down to the sum."""
    ends = [0.0]
    for weight in found.weights:
        ends.append(ends[-1] + weight.weight)
    low, high = min(*ends, found.review_weight), max(*ends, found.match_weight)
    rows = [
        (*named(weight, lang), f"{weight.weight:+.2f}", f"{end:+.2f}", Bar(start, end, low, high))
        for weight, start, end in zip(found.weights, ends, ends[1:], strict=False)
    ]
    rows.append((tr(lang, "Together"), "", f"{ends[-1]:+.2f}", f"{ends[-1]:+.2f}", Bar(0.0, ends[-1], low, high)))
    rows.append((tr(lang, "Merged from"), "", f"{found.match_weight:+.2f}", "", Bar(0.0, found.match_weight, low, high)))
    columns = (tr(lang, "Evidence"), tr(lang, "Outcome"), tr(lang, "Weight"), tr(lang, "So far"), "")
    note = tr(
        lang,
        "Each bar begins where the one above it ended; bars to the right speak for one person, shaded ones to the left against.",
    )
    return Table(tr(lang, "What speaks for it, and against"), columns, tuple(rows), note)


def named(weight: FieldWeight, lang: str) -> tuple[str, str]:
    """A weight's name and outcome; how much of it is due to a rare or frequent value."""
    outcome = evidence_text(weight.level, lang) if weight.level else ""
    if abs(weight.rarity) >= 0.05:
        outcome += " " + tr(lang, "(rarity {bits})", bits=f"{weight.rarity:+.1f}")
    return evidence_text(weight.title, lang), outcome


def facts_table(found: Explanation, lang: str) -> Table:
    """What both records say."""
    rows = tuple(
        (fact_title(fact.name, lang), fact.left, "=" if fact.same else "≠" if fact.known else "·", fact.right)
        for fact in found.facts
    )
    note = tr(lang, "Values are masked; = and ≠ compare what they hide. --show-personal shows them.")
    return Table(tr(lang, "What both say"), (tr(lang, "Fact"), str(found.left), "", str(found.right)), rows, note)


def next_steps(found: Explanation, lang: str) -> tuple[str, ...]:
    """How to disagree."""
    pair = f"{found.left} {found.right}"
    if found.decision is not None and (found.decision.kind == "must_link") != found.same:
        return (
            tr(
                lang,
                "What was decided is not heeded yet: run `membershift dedupe run --execute`, or `dedupe unmerge` to part them.",
            ),
        )
    if found.same:
        return (tr(lang, "If they are two people: `membershift dedupe unmerge {record}`.", record=found.right),)
    return (tr(lang, "To decide it yourself: `membershift dedupe review decide {pair} same` (or different).", pair=pair),)
