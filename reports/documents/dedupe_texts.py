"""Words of deduplication in both languages: facts about a member, why a pair is in doubt, why a merge was refused."""

from __future__ import annotations

from typing import Final

from reports.text import tr

FACTS: Final = {
    "name": "Member name",
    "phone": "Phone",
    "id_card": "Identity card",
    "union_id": "Union id",
    "email": "E-mail",
    "birthday": "Birthday",
    "gender": "Gender",
    "address": "Address",
    "registered_at": "Registered on",
    "updated_at": "Changed on",
}
"""A field of a comparison set, as people call it; a field that is not here is called by its own name."""

REASONS: Final = {
    "grey_zone": "Neither clearly the same nor clearly different",
    "twins": "Could be twins: one birthday and surname, another given name",
    "parent_child": "Could be parent and child on one phone",
    "conflicting_id": "Two different valid identity cards",
    "conflicting_name": "Other names, and no shared personal id",
    "cannot_link": "Somebody decided that these are two people",
    "must_link": "Somebody decided that these are one person",
    "split": "Taken out of a cluster that grew too large",
    "merged_before": "One person since an earlier run, but something forbids it now",
    "sample": "Drawn at random, to measure the deduplication",
}
"""Codes of review.parquet and refused.parquet."""


EVIDENCE: Final = "evidence: "
"""What comparisons, their outcomes and rules are called stands in a comparison file, in one language; translations of those that
come with the program stand under this prefix, so that a word may mean another thing elsewhere."""


def evidence_text(text: str, lang: str) -> str:
    """The title of a comparison, the name of an outcome or of a rule; one that has no translation is shown as the file has it.

    >>> evidence_text("own phone", "zh"), evidence_text("own phone", "en"), evidence_text("no such", "zh")
    ('专用手机', 'own phone', 'no such')
    >>> evidence_text("surname, phone and gender", "zh")
    '姓、手机、性别'
    """
    whole = tr(lang, EVIDENCE + text)
    if lang == "en" or whole != EVIDENCE + text:
        return text if lang == "en" else whole
    parts = [tr(lang, EVIDENCE + part) for part in text.replace(" and ", ", ").split(", ")]
    return text if any(part.startswith(EVIDENCE) for part in parts) else "、".join(parts)


def fact_title(name: str, lang: str) -> str:
    """What a field is called."""
    return tr(lang, FACTS.get(name, name))


def reason_text(code: str, lang: str) -> str:
    """Why a pair is in doubt, in words; a code nobody described is shown as it is."""
    return tr(lang, REASONS.get(code, code.replace("_", " ")))
