"""Ask, for each member to be taken apart, who keeps what happened to it after the merge."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.markup import escape

from cli.keys import END, ReadKey, open_keys
from cli.output import console
from reports.text import tr

if TYPE_CHECKING:
    from etl.dedupe.labels import RecordRef
    from etl.dedupe.unmerge_model import SplitMember

MOST_RECORDS = 9
"""Records that have a key of their own; a person with more is answered on the command line."""


@dataclass(frozen=True)
class Later:
    """`keep`: it stays with the member's id everywhere. `to`: by member the record that has it; others are left alone."""

    keep: bool = False
    to: tuple[tuple[int, RecordRef], ...] = ()


def ask_later(members: Iterable[SplitMember], lang: str) -> Later:
    """Ask about every member to which something happened; a member about which nobody answers is left as it is."""
    with open_keys() as read:
        asked = [(member.member_id, ask_member(member, read, lang)) for member in members if member.undecided]
    return Later(to=tuple((member_id, record) for member_id, record in asked if record is not None))


def ask_member(member: SplitMember, read: ReadKey, lang: str) -> RecordRef | None:
    """One member: the record whose member takes it, None to leave the member as it is."""
    view = console(stderr=True)
    happened = [f"{table}: {rows:,}" for table, rows in member.later.items()]
    happened += [tr(lang, "changed: {column}", column=column) for column in member.changed]
    question = tr(
        lang, "Member {member} has this since the merge: {what}. Whose is it?", member=member.member_id, what=", ".join(happened)
    )
    view.print(escape(question), highlight=False, soft_wrap=True)
    records = [record for group in member.groups for record in group.records][:MOST_RECORDS]
    for number, record in enumerate(records, 1):
        view.print(f"  [bold]\\[{number}][/] {escape(str(record))}", highlight=False)
    view.print(f"  [bold]\\[s][/] {escape(tr(lang, 'leave this member as it is'))}", highlight=False)
    while True:
        key = read()
        if key in ("s", "q", END):
            return None
        if key.isdigit() and 1 <= int(key) <= len(records):
            return records[int(key) - 1]
