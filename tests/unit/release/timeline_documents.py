"""The report of a release of every kind, with something in each of its places."""

from __future__ import annotations

from collections.abc import Iterator

from migrations.release.events import Aborted, Paused, RollbackBegun
from migrations.release.timeline import Timeline, read_timeline
from reports.document import Document
from reports.documents import release_timeline
from tests.unit.release.example_logs import WAVES, Story, completed, in_the_middle, pilot_moved, rolled_back


def stories() -> tuple[Story, ...]:
    """One of each."""
    going_back = pilot_moved().add(RollbackBegun(WAVES[0], "nothing was seen of the stores for 200 s", "trigger blind"))
    paused = in_the_middle().steps(1).add(Paused("nothing was seen of the stores for 200 s"))
    aborted = Story().plan().add(Aborted("wang"), after_s=5)
    return (completed(), rolled_back(), in_the_middle(), pilot_moved(), going_back, paused, aborted)


def timeline_of(story: Story) -> Timeline:
    """What its log tells."""
    found = read_timeline(story.log)
    assert found is not None
    return found


def documents(lang: str) -> Iterator[Document]:
    """All of them, in a language."""
    for story in stories():
        yield release_timeline.release_timeline_document(timeline_of(story), story.now, lang)
