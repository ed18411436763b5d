"""Where sync stands, as a document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from etl.sync.check_record import CheckStanding
from etl.sync.heartbeat import Heartbeat
from etl.sync.standing import MOST_COUNTED, LegacyStanding, Standing
from etl.sync.status import SyncStatus
from etl.sync.throttle import THROTTLED
from reports.document import Document, Figure, Status, Table, Verdict, human_duration
from reports.documents.sync_texts import state_text, waiting_text
from reports.text import tr


def status_document(status: SyncStatus, lang: str) -> Document:
    """What `sync status` found."""
    standing = status.standing
    tables: tuple[Table, ...] = ()
    if standing is not None:
        tables = (target_table(standing, lang), *legacy_table(standing, lang))
    return Document(
        title=tr(lang, "Sync: status"),
        verdict=verdict_of(status, lang),
        figures=figures(status, lang),
        tables=(*streams_table(status, lang), *tables),
        next_steps=next_steps(status, lang),
        lang=lang,
    )


def verdict_of(status: SyncStatus, lang: str) -> Verdict:
    """Whether it runs and whether somebody is needed: the worst first."""
    beat = status.heartbeat
    if status.state is None:
        return Verdict("warn", tr(lang, "Sync was never started on this target."))
    if status.lost:
        text = tr(lang, "The source has forgotten changes of {tables}: they cannot be followed.", tables=", ".join(status.lost))
        return Verdict("bad", text)
    if status.missing and beat is None:
        return Verdict("bad", tr(lang, "No process is running, and none ever ran: nothing is carried over."))
    if status.missing and beat is not None:
        age = human_duration(beat.age_s)
        if beat.ended:
            return Verdict("bad", tr(lang, "No process is running: it ended {age} ago. {why}", age=age, why=beat.ended))
        return Verdict("bad", tr(lang, "No process is running: the last sign of life is {age} old.", age=age))
    if status.stuck:
        return Verdict("bad", tr(lang, "{streams} cannot go on.", streams=", ".join(stream.name for stream in status.stuck)))
    if status.state != "running":
        return Verdict("warn", resting_text(status, lang))
    if status.process == "ended" and beat is not None:
        text = tr(
            lang, "No process is running: it ended in order at {at}, {age} ago.", at=told_at(beat), age=human_duration(beat.age_s)
        )
        return Verdict("warn", text)
    if beat is not None and beat.throttle:
        return Verdict("warn", tr(lang, "Sync runs, {why}.", why=waiting_text(THROTTLED + beat.throttle, lang)))
    if status.check.differing:
        text = tr(lang, "Sync runs; the background check found {count} rows that differ.", count=f"{status.check.differing:,}")
        return Verdict("bad", text)
    if status.needs_person:
        return Verdict("warn", tr(lang, "Sync runs; conflicts or dead letters wait for somebody to look at them."))
    return Verdict("ok", tr(lang, "Sync runs."))


def resting_text(status: SyncStatus, lang: str) -> str:
    """Paused or stopped because somebody asked for it."""
    if status.state == "paused":
        return tr(lang, "Sync is paused: {who} asked for it.", who=status.asked_by)
    if status.process == "alive":
        return tr(lang, "Sync is to stop: {who} asked for it. The process has not ended yet.", who=status.asked_by)
    return tr(lang, "Sync is stopped: {who} asked for it.", who=status.asked_by)


def figures(status: SyncStatus, lang: str) -> tuple[Figure, ...]:
    """The state, the process, and what is waiting."""
    if status.state is None:
        return ()
    asked_at = "" if status.asked_at is None else status.asked_at.replace(tzinfo=UTC).isoformat(timespec="seconds")
    shown = [
        Figure(tr(lang, "Asked for"), state_text(status.state, lang), f"{status.asked_by} {asked_at}".strip()),
        Figure(tr(lang, "Process"), *process_text(status.heartbeat, lang)),
    ]
    if status.standing is not None:
        shown += [
            Figure(tr(lang, "Changes to bring to the target"), *backlog_text(status.standing, lang)),
            Figure(tr(lang, "Rows to send back"), status.standing.dirty, tr(lang, "rows of dead letters among them")),
            Figure(tr(lang, "Open conflicts"), status.standing.open_conflicts),
            Figure(tr(lang, "Open dead letters"), status.standing.open_letters),
        ]
        shown += [
            Figure(
                tr(lang, "Rows from the future"),
                one.count,
                tr(lang, "{table}, up to {time}: a server's clock is wrong", table=one.table, time=human_duration(one.ahead_s)),
            )
            for one in status.standing.future
        ]
    shown.append(Figure(tr(lang, "Background check"), *check_text(status.check, lang)))
    return tuple(shown)


def process_text(beat: Heartbeat | None, lang: str) -> tuple[str, str]:
    """Whether one runs, and which."""
    if beat is None:
        return tr(lang, "none"), ""
    who = tr(lang, "process {pid} on {host}", pid=beat.pid, host=beat.host)
    if beat.alive:
        return who, tr(lang, "for {time}", time=human_duration(beat.up_s))
    if beat.ended:
        text = tr(
            lang,
            "last was {who}, {age} ago; it ran for {time}",
            who=who,
            age=human_duration(beat.age_s),
            time=human_duration(beat.up_s),
        )
        return tr(lang, "none"), text
    note = tr(lang, "last was {who}, {age} ago; it should be heard every other second", who=who, age=human_duration(beat.age_s))
    return tr(lang, "none"), note


def backlog_text(standing: Standing, lang: str) -> tuple[object, str]:
    """How many, and what is not counted."""
    if standing.source_problem:
        return None, standing.source_problem
    notes = []
    if any(table.backlog is not None and table.backlog >= MOST_COUNTED for table in standing.legacy):
        notes.append(tr(lang, "counted up to {most} a table", most=f"{MOST_COUNTED:,}"))
    if any(table.backlog is None and table.position is not None and not table.forgotten for table in standing.legacy):
        notes.append(tr(lang, "tables without Change Tracking are not counted"))
    return standing.backlog, "; ".join(notes)


def check_text(check: CheckStanding, lang: str) -> tuple[object, str]:
    """What the background check found, and how far it is."""
    one = check.present or check.last
    if one is None:
        return None, tr(lang, "it has not begun")
    value = tr(lang, "{rows} rows looked at, {count} differ", rows=f"{one.rows:,}", count=f"{one.differing:,}")
    notes = [tr(lang, "{count} more as sync knows", count=f"{one.explained:,}")] if one.explained else []
    notes.append(tr(lang, "at {leg}", leg=one.leg) if one.ended is None else tr(lang, "all keys, by {at}", at=moment(one.ended)))
    if check.present is not None and check.last is not None and check.last.ended is not None:
        before = tr(lang, "the pass before: {count} differed", count=f"{check.last.differing:,}")
        notes.append(before)
    return value, "; ".join(notes)


def moment(at: datetime) -> str:
    """A time (UTC)."""
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def told_at(beat: Heartbeat) -> str:
    """When a sign of life was given (UTC)."""
    return moment(datetime.now(UTC) - timedelta(seconds=beat.age_s))


def streams_table(status: SyncStatus, lang: str) -> tuple[Table, ...]:
    """What the running process told last; no table where none runs."""
    beat = status.heartbeat
    if beat is None or not beat.alive or not beat.streams:
        return ()
    columns = ("", tr(lang, "Stream"), tr(lang, "Behind"), tr(lang, "Rows/s"), tr(lang, "Waits for"))
    rows = tuple(
        (
            "bad" if stream in status.stuck else "warn" if stream.waiting else "ok",
            stream.name,
            human_duration(stream.lag_s),
            round(stream.rate, 1),
            waiting_text(stream.waiting, lang),
        )
        for stream in beat.streams
    )
    return (Table(tr(lang, "Streams"), columns, rows, status_column=0),)


def target_table(standing: Standing, lang: str) -> Table:
    """What is to be sent back, and what was kept, by target table."""
    columns = (
        "", tr(lang, "Target table"), tr(lang, "Rows change on"), tr(lang, "To send back"), tr(lang, "Open conflicts"),
        tr(lang, "Conflicts kept"),
    )  # fmt: skip
    modes = {"both": tr(lang, "both sides"), "append": tr(lang, "the side that made them"), "source": tr(lang, "the legacy side")}
    rows = tuple(
        ("warn" if one.open_conflicts else "ok", one.name, modes[one.mode], one.dirty, one.open_conflicts, one.conflicts)
        for one in standing.tables
    )
    return Table(tr(lang, "Back to SQL Server"), columns, rows, status_column=0)


def legacy_table(standing: Standing, lang: str) -> tuple[Table, ...]:
    """How far forward is in each legacy table."""
    columns = (
        "", tr(lang, "Legacy table"), tr(lang, "Reached version"), tr(lang, "Noted (UTC)"), tr(lang, "Changes since, by others"),
    )  # fmt: skip
    rows = tuple(
        (
            legacy_status(one), one.name, one.position, None if one.at is None else one.at.replace(tzinfo=UTC),
            tr(lang, "forgotten by the source") if one.forgotten else one.backlog,
        )
        for one in standing.legacy
    )  # fmt: skip
    return (Table(tr(lang, "To the target"), columns, rows, status_column=0),) if rows else ()


def legacy_status(one: LegacyStanding) -> Status:
    """A legacy table's mark."""
    return "bad" if one.forgotten else "warn" if one.position is None else "ok"


def next_steps(status: SyncStatus, lang: str) -> tuple[str, ...]:
    """What to run next."""
    if status.state is None:
        return (tr(lang, "Run `membershift sync start`: it shows what would be prepared."),)
    steps = [tr(lang, "Run `membershift sync resync {table}`: it repairs by comparison.", table=table) for table in status.lost]
    if status.missing:
        steps.append(tr(lang, "Run `membershift sync run`. If it ran under systemd: `journalctl -u membershift-sync`."))
        if status.heartbeat is not None and not status.heartbeat.ended:
            note = tr(lang, "A process that cannot reach the target gives no sign of life either, and goes on by itself.")
            steps.append(note)
    if status.process == "ended" and status.state == "running":
        steps.append(tr(lang, "Run `membershift sync run`."))
    if status.state in ("paused", "stopped"):
        steps.append(tr(lang, "Run `membershift sync resume`."))
    if status.check.differing:
        steps.append(
            tr(lang, "See them in `sync/check-*.json` of the state folder of sync, or run `membershift reconcile rows`.")
        )
    if status.standing is not None and status.standing.future:
        steps.append(
            tr(lang, "Set the clocks of the target's servers right (NTP): changes of the others are found by sweeps alone.")
        )
    if status.standing is not None and status.standing.open_letters:
        steps.append(tr(lang, "Run `membershift sync dead-letters list`."))
    if status.standing is not None and status.standing.open_conflicts:
        steps.append(tr(lang, "Run `membershift sync conflicts list`."))
    return tuple(steps)
