"""What each finding of an assessment means and what to do about it: one sentence each, by code (etl/assess)."""

from __future__ import annotations

from typing import Final

MEANING: Final[dict[str, tuple[str, str]]] = {
    "no_key": (
        "No key: rows cannot be told apart.",
        "Give it a key, or move it with load --as-is: it moves in one piece, and `reconcile rows` leaves it out.",
    ),
    "no_change_source": (
        "Nothing tells which rows changed: no Change Tracking, no rowversion, no time of change.",
        "Enable Change Tracking on it, or move it while nobody writes to it.",
    ),
    "changes_by_column_only": (
        "Changes can be found by this column only, and deletes only by comparing keys.",
        "Enable Change Tracking on it.",
    ),
    "guid_key": ("The key is a GUID: it is staged by row numbers, not by key ranges.", "Nothing to do."),
    "refused_type": (
        "{type} has no counterpart on the target and is not moved.",
        "Cast it to a named type in a view, and move that.",
    ),
    "special_type": ("{type} is moved as text ({form}).", "Check that the applications can read it so."),
    "float_column": (
        "Binary floating point: sums differ by their order.",
        "Use a decimal column where it holds money or quantities.",
    ),
    "time_cut": ("{type}: the seventh digit of a second is cut off.", "Nothing to do, unless a key or an order depends on it."),
    "decimal_scale": ("{scale} digits behind the point; the target has 30.", "Round it in the mapping."),
    "computed_column": ("Computed: not moved; the target's own rule makes it.", "Map it, if an application reads it."),
    "long_name": ("The name has {length} characters; the target allows 64.", "Give it a shorter name in the mapping."),
    "index_too_long": (
        "The key of index {name} takes up to {bytes} bytes on the target, which allows 3,072.",
        "Index a prefix, or shorten the columns.",
    ),
    "untrusted_foreign_key": (
        "Foreign key {name} is disabled or was never checked.",
        "The count of orphans says whether rows point at nothing.",
    ),
    "identity_near_limit": (
        "The last identity is {last}: {percent} % of what {type} holds.",
        "The target's BIGINT ends this; move soon.",
    ),
    "lone_surrogate": (
        "Half a character: every driver damages such text on the way.",
        "Correct it at the source, or leave it to quarantine: load rejects it as damaged_text.",
    ),
    "control_character": ("Control characters.", "Let the mapping strip them (text transforms do), or reject them."),
    "trailing_space": ("Trailing spaces, which SQL Server ignores and programs do not.", "Let the mapping strip them."),
    "code_page_loss": (
        "Characters that code page {code_page} cannot hold: a legacy varchar column would take them back as '?'.",
        "Keep such columns nvarchar on the legacy side as long as changes flow back.",
    ),
    "lost_character": (
        "A '?' beside a Chinese character: lost long ago to the code page.",
        "Ask the member; nothing can restore it.",
    ),
    "fills_column": ("The text fills all {length} characters: probably cut.", "Compare with another source of the same text."),
    "sentinel_date": ("{date} stands for no date.", "Name it in the mapping's sentinels, so that it becomes NULL."),
    "date_out_of_range": (
        "A date before the year 1000, which the target does not promise to hold.",
        "Make it NULL or correct it.",
    ),
    "money_extreme": ("An amount at the edge of its type (limit {limit}).", "Correct it: sums overflow with it."),
    "negative_money": ("Negative amounts.", "Check that the applications expect them."),
    "collation_collision": (
        "Under {collation} rows of this unique key are equal to an earlier one and would be refused.",
        "Keep utf8mb4_bin with a normalised key column, or correct the rows.",
    ),
    "collation_twin": (
        "Different values that are equal under {collation}.",
        "Nothing to do under utf8mb4_bin; decide before a unique key or a join relies on another collation.",
    ),
    "orphan": ("Rows that point at nothing in {parent}.", "Correct them, or let the mapping reject them."),
    "long_row": (
        "Rows longer than 6 MiB in UTF-8, which TiDB refuses.",
        "Raise txn-entry-size-limit, or move the large value elsewhere.",
    ),
    "mapping_reject": ("{part} would put rows into quarantine: {target}, {reason}.", "Correct the rows or the mapping."),
    "mapping_note": ("{part} would load the rows with a changed value: {target}, {reason}.", "Check that this is what you want."),
    "mapping_misfit": ("{part} does not fit: {problem}", "{remedy}"),
}

IDENTIFIERS: Final = {"phone": "Phone", "id_card": "Identity card", "union_id": "Union id"}
CHANGE_SOURCES: Final = {
    "change_tracking": "Change Tracking",
    "rowversion": "rowversion",
    "column": "time of change",
    "none": "nothing",
}
NOTES: Final = {
    "max_load_blind": "The login lacks VIEW SERVER STATE, so --max-load could not work.",
    "target_tables_missing": "Some tables of the mapping are not on the target yet: their parts were not tried.",
}
