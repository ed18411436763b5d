"""membershift import: files of tills and partners go through the same mapping, checks and quarantine as the legacy tables.

A row whose key is on the target is unchanged when it is the same, and rejected when it differs: an import never overwrites. So
the same file twice changes nothing, and a corrected file loads exactly the rows that were wrong before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from etl.errors import RefusedError, UsageError
from etl.load.allocate import plan_allocated
from etl.load.batch import Counts
from etl.load.checkpoint import Covered, read_covered, settled_rows
from etl.load.crosswalk import Crosswalk
from etl.load.import_part import FileChunk, FileTransform
from etl.load.import_preview import preview_file
from etl.load.import_profile import Profile, load_profile
from etl.load.import_read import ReadFile, read_file
from etl.load.import_rejected import Corrections, note_file, settle_corrected, write_rejected
from etl.load.loader import Loader, open_loader
from etl.load.lock import hold_load_lock
from etl.load.members import largest_kept, noted_block
from etl.load.model import ReasonCount
from etl.load.part import LoadPart
from etl.load.preflight import require_tables
from etl.load.prepare import Live, Prepared, open_target_side
from etl.load.refill import refill_members
from etl.load.runs import read_runs
from etl.load.staged import fingerprint_of
from etl.load.work import pending_work
from etl.load.write_import_record import record_rows
from etl.mapping.compile import compile_part
from etl.mapping.load_mapping import load_mapping
from etl.mapping.model import Mapping
from etl.progress import Progress
from etl.settings import Settings
from etl.target.bulk import BulkConnection


@dataclass(frozen=True)
class ImportRequest:
    """Files of one kind: the name of a profile, or the path of one. `rejected`: where to write the rows to correct (one file)."""

    files: tuple[Path, ...]
    kind: str
    execute: bool = False
    sheet: str | None = None
    rejected: Path | None = None


@dataclass(frozen=True)
class ImportedFile:
    """What became of a file's records, or would. `before`: settled when the same file was imported earlier. `columns` pairs the
    file's headers with legacy columns, `ignored` are headers nobody knows, `rejected_file` holds the rows to correct.
    `refilled`: rows that an earlier import loaded without their member, which is there by now."""

    file: str
    form: str
    records: int
    before: int
    loaded: int
    unchanged: int
    rejected: int
    noted: int
    reasons: tuple[ReasonCount, ...]
    columns: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]
    rejected_file: Path | None = None
    refilled: int = 0


@dataclass(frozen=True)
class ImportResult:
    """Outcome of `run_import`."""

    executed: bool
    kind: str
    part: str
    files: tuple[ImportedFile, ...]
    seconds: float

    @property
    def rejected(self) -> int:
        """Records in quarantine, of all files."""
        return sum(file.rejected for file in self.files)


def run_import(settings: Settings, request: ImportRequest, progress: Progress) -> ImportResult:
    """Import files; without `execute` only say what that would do. Rejected rows are written out to be corrected, either way.

    Raises UsageError for a file that is not of this kind, RefusedError, TargetError.
    """
    began = time.monotonic()
    if request.rejected is not None and len(request.files) != 1:
        raise UsageError("--rejected names one file, and several were given to import.", "Leave --rejected out.")
    profile, mapping = load_profile(request.kind), load_mapping(settings.mapping, settings.config_dir)
    if request.execute:
        with hold_load_lock(settings) as lock:
            files = [import_file(settings, mapping, profile, path, request, lock.keep, progress) for path in request.files]
    else:
        files = [import_file(settings, mapping, profile, path, request, lambda: None, progress) for path in request.files]
    return ImportResult(request.execute, profile.name, profile.part, tuple(files), time.monotonic() - began)


def import_file(
    settings: Settings,
    mapping: Mapping,
    profile: Profile,
    path: Path,
    request: ImportRequest,
    keep_alive: Callable[[], None],
    progress: Progress,
) -> ImportedFile:
    """One file from its first look to the rows to correct."""
    with (
        open_target_side(settings) as (connection, live, folder),
        read_file(path, profile, folder, request.sheet) as file,
    ):
        prepared = prepare_file(settings, mapping, profile, file, connection, live, folder)
        part = prepared.parts[0]
        if request.execute:
            counts = load_file(prepared, part, keep_alive, progress)
            refilled = refill_members(prepared, part, progress, connection).filled
            corrections = Corrections.of_quarantine(prepared, part)
            record_rows(settings, part, file, corrections)
        else:
            counts, corrections = preview_file(prepared, part)
            refilled = refill_members(prepared, part).filled
        rejected_file = write_rejected(settings, part, file, corrections, request.rejected)
        return replace(imported(prepared, part, file, counts, rejected_file), refilled=refilled)


def prepare_file(
    settings: Settings,
    mapping: Mapping,
    profile: Profile,
    file: ReadFile,
    connection: BulkConnection,
    live: Live,
    folder: Path,
) -> Prepared:
    """The file as the one part of a load. Raises UsageError for a profile of a part that the mapping does not have."""
    try:
        mapped = mapping.part(profile.part)
    except KeyError:
        names = ", ".join(part.name for part in mapping.parts)
        raise UsageError(f"The mapping {mapping.name} has no part {profile.part}.", f"Its parts are: {names}.") from None
    if mapped.lookups:
        raise UsageError(
            f"{mapped.name} reads other tables beside its rows, which a file cannot give.", "Load it from the stage."
        )
    require_tables(live.columns, settings.target.schema_name, [mapped.target])
    compiled = compile_part(mapped, profile.schema, live.columns[mapped.target])
    crosswalk = Crosswalk(connection, settings.target.schema_name, folder)
    part = LoadPart(
        name=f"import/{profile.name}",
        schema=settings.target.schema_name,
        table=mapped.target,
        source=file.name[:200],
        columns=compiled.target_columns,
        keys=live.keys.get(mapped.target, ()),
        transform=FileTransform(file, profile, compiled, crosswalk),
        chunks=(FileChunk(file),),
        fingerprint=fingerprint_of(compiled),
        personal=mapped.personal,
        system=mapped.defines_member,
    )
    covered: dict[str, Covered] = {part.name: read_covered(connection, settings.target.state_schema, part.name)}
    runs = read_runs(connection, settings.target.state_schema)
    return Prepared(settings, mapping, connection, crosswalk, folder, runs, (part,), covered, ())


def load_file(prepared: Prepared, part: LoadPart, keep_alive: Callable[[], None], progress: Progress) -> Counts:
    """Load what of the file is not settled; note the file when all of it is."""
    with open_loader(prepared, "import", keep_alive, progress) as loader:
        loader.writers = loader.writers[:1]  # in the file's order, so that of two rows with one key the first one stays
        plan_file_members(prepared, part, loader)
        loader.load(part, pending_work(part, loader.covered(part)))
        settle_corrected(prepared, part)
        counts = loader.counts.get(part.name, Counts())
        note_file(prepared, part, counts)
    return counts


def plan_file_members(prepared: Prepared, part: LoadPart, loader: Loader) -> None:
    """Ids for members that no system has yet. The block is noted under the file, so that a killed import finds it again."""
    assert isinstance(part.transform, FileTransform)
    system, transform = part.system, part.transform
    if system is None:
        return
    if system.ids == "keep":
        raise RefusedError(
            f"Members of {system.name} keep the ids of their own system, so they cannot come from a file.",
            "Load them from the stage: membershift load.",
        )
    name = f"{system.name} of file {transform.file.sha256[:16]}"
    numbered, _ = plan_allocated(
        prepared.connection,
        prepared.state_schema,
        prepared.folder / "plan",
        lambda: transform.member_ids(system),
        prepared.crosswalk.known(system.name),
        system=name,
        noted=noted_block(prepared, name),
        largest_kept=largest_kept(replace(prepared, parts=())),
        record=loader.record,
    )
    prepared.crosswalk.plan(system.name, numbered.index.lookup)


def imported(prepared: Prepared, part: LoadPart, file: ReadFile, counts: Counts, rejected_file: Path | None) -> ImportedFile:
    """The counts of a file as a result."""
    return ImportedFile(
        file=file.name,
        form=file.form,
        records=file.rows,
        before=settled_rows(prepared.covered[part.name], part.chunk_sizes),
        loaded=counts.loaded,
        unchanged=counts.unchanged + counts.merged,
        rejected=counts.rejected,
        noted=counts.noted,
        reasons=tuple(ReasonCount(*reason) for reason in counts.reasons),
        columns=headers_of(file),
        ignored=file.ignored,
        rejected_file=rejected_file,
    )


def headers_of(file: ReadFile) -> tuple[tuple[str, str], ...]:
    """Which header is which legacy column."""
    headers: Sequence[str] = file.header
    return tuple((headers[place], column.name) for place, column in file.match.columns)
