"""membershift dedupe review: doubtful pairs, answered in the terminal, in a spreadsheet, or one by one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import Execute, Json, lang_of, settings_of

if TYPE_CHECKING:
    from etl.dedupe.labels import Answer

review = typer.Typer(invoke_without_command=True)

Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, help="At most so many pairs.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only pairs in doubt for this reason, such as twins.")]
Sample = Annotated[
    bool, typer.Option("--sample", help="Pairs drawn at random, to measure how good the last run was, instead of doubtful ones.")
]
Size = Annotated[
    int, typer.Option("--size", min=10, max=100_000, help="How many pairs to draw for --sample, when none are drawn yet.")
]
Again = Annotated[bool, typer.Option("--again", help="Also pairs that have an answer.")]
ShowPersonal = Annotated[bool, typer.Option("--show-personal", help="Show personal values in full.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who answers. Default: the user of this machine.")]


@review.callback()
def walk(
    context: typer.Context,
    limit: Limit = 1_000,
    reason: Reason = None,
    sample: Sample = False,
    size: Size = 200,
    again: Again = False,
    show_personal: ShowPersonal = False,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Walk through doubtful pairs: y same person, n different, s skip, u undo, q stop. Each answer is stored as it is given.

    Answers are must-link and cannot-link decisions that the next run heeds. Without a terminal, a letter a line is read.

    Example: membershift dedupe review --reason twins
    """
    if context.invoked_subcommand is not None:
        return
    from cli.output import show
    from cli.review_screen import ReviewScreen, review_in_terminal
    from etl.dedupe.answers import DecisionStore, who_is_asked
    from etl.dedupe.review_queue import QueueRequest, open_queue
    from etl.dedupe.review_session import ReviewSession
    from reports.documents.dedupe_review import tally_document

    settings = settings_of(context)
    store = DecisionStore(settings, who_is_asked(by))
    queue = open_queue(settings, QueueRequest(limit, reason, size if sample else None, again, show_personal), store.standing())
    session = ReviewSession(queue.pairs, store)
    screen = ReviewScreen(queue.explain, queue.match_weight, lang_of(context), blind=sample, beside=as_json)
    review_in_terminal(session, screen)
    show(tally_document(session.tally, lang_of(context)), session.tally, as_json=as_json)


@review.command()
def export(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="An .xlsx file to write.", dir_okay=False)],
    limit: Limit = 10_000,
    reason: Reason = None,
    sample: Sample = False,
    size: Size = 200,
    again: Again = False,
    show_personal: ShowPersonal = False,
    as_json: Json = False,
) -> None:
    """Write doubtful pairs to a spreadsheet for a business team: one column to answer in, all else locked, values masked.

    Example: membershift dedupe review export pairs.xlsx --limit 500
    """
    from cli.output import show
    from etl.dedupe.answers import DecisionStore, who_is_asked
    from etl.dedupe.review_book import export_pairs
    from etl.dedupe.review_queue import QueueRequest, open_queue
    from reports.documents.dedupe_review import book_words, exported_document

    settings, lang = settings_of(context), lang_of(context)
    request = QueueRequest(limit, reason, size if sample else None, again, show_personal)
    queue = open_queue(settings, request, DecisionStore(settings, who_is_asked(None)).standing())
    result = export_pairs(file, queue.pairs, book_words(lang), masked=not show_personal, blind=sample)
    show(exported_document(result, lang), result, as_json=as_json)


@review.command("import")
def import_command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A spreadsheet from `review export`, answered.", dir_okay=False)],
    by: By = None,
    execute: Execute = False,
    as_json: Json = False,
) -> None:
    """Store the answers of a spreadsheet, all or none. Answers that contradict each other are refused with the chain.

    Example: membershift dedupe review import pairs.xlsx --by "Li Na" --execute
    """
    from cli.output import show
    from etl.dedupe.answers import DecisionStore, who_is_asked
    from etl.dedupe.review_files import import_answers
    from reports.documents.dedupe_review import imported_document

    settings = settings_of(context)
    store = DecisionStore(settings, who_is_asked(by))
    result = import_answers(file, store, settings.dedupe_dir / "records.parquet", execute=execute)
    show(imported_document(result, lang_of(context)), result, as_json=as_json)


@review.command()
def decide(
    context: typer.Context,
    left: Annotated[str, typer.Argument(help="A record: its system and its key there, such as crm:123.")],
    right: Annotated[str, typer.Argument(help="Another record.")],
    answer: Annotated[str, typer.Argument(help="same, different, or none to take a decision back.")],
    note: Annotated[str, typer.Option("--note", help="Why, for those who come after.")] = "",
    by: By = None,
    as_json: Json = False,
) -> None:
    """Decide about any two records yourself, or take a decision back. The next run heeds it.

    Example: membershift dedupe review decide crm:123 pos:B0000042 different --note "father and son"
    """
    from cli.output import show
    from etl.dedupe.answers import DecisionStore, decide, who_is_asked
    from etl.dedupe.labels import parse_record
    from reports.documents.dedupe_review import decided_document

    pair = parse_record(left), parse_record(right)
    chosen = parse_answer(answer)
    result = decide(DecisionStore(settings_of(context), who_is_asked(by)), *pair, chosen, note)
    show(decided_document(result, lang_of(context)), result, as_json=as_json)


def parse_answer(text: str) -> Answer | None:
    """An answer as it is typed. Raises UsageError."""
    from etl.errors import UsageError

    match text:
        case "same":
            return "same"
        case "different":
            return "different"
        case "none":
            return None
        case _:
            raise UsageError(f"{text!r} is no answer.", "Use same, different or none.")
