"""What runs in the sandbox, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from reports.document import Document, Figure, Table, Verdict
from reports.text import tr


class Server(Protocol):
    """One server, as far as the report goes."""

    @property
    def name(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def pid(self) -> int: ...
    @property
    def version(self) -> str: ...


class Result(Protocol):
    """The sandbox, as far as the report goes."""

    @property
    def folder(self) -> Path: ...
    @property
    def config(self) -> Path: ...
    @property
    def legacy(self) -> Server | None: ...
    @property
    def target(self) -> Server | None: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def members(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def complete_journey(self) -> bool: ...
    @property
    def notice(self) -> str | None: ...
    @property
    def already_running(self) -> bool: ...
    @property
    def running(self) -> bool: ...


def sandbox_document(result: Result, lang: str) -> Document:
    """Both servers, the rows of the legacy tables, and how to go on."""
    title = tr(lang, "membershift sandbox")
    if not result.running:
        return Document(
            title,
            Verdict("warn", tr(lang, "The sandbox in {folder} is not running.", folder=result.folder)),
            tables=server_table(result, lang),
            next_steps=(f"membershift sandbox up --folder {result.folder}",),
            lang=lang,
        )
    text = "The sandbox is running already." if result.already_running else "The sandbox is running."
    rows = tuple(result.rows.items())
    figures = [
        Figure(tr(lang, "Generated members"), result.members, tr(lang, "seed {seed}", seed=result.seed)),
        Figure(tr(lang, "Rows in the legacy databases"), sum(result.rows.values())),
        Figure(tr(lang, "Complete Journey"), tr(lang, "filled in") if result.complete_journey else tr(lang, "left out")),
    ]
    if result.notice:
        figures.append(Figure(tr(lang, "Target"), tr(lang, "a stand-in"), tr(lang, result.notice)))
    return Document(
        title,
        Verdict("ok", tr(lang, text)),
        figures=tuple(figures),
        tables=(
            *server_table(result, lang),
            Table(tr(lang, "Legacy tables"), (tr(lang, "Table"), tr(lang, "Rows")), rows),
        ),
        next_steps=(
            f"export MEMBERSHIFT_CONFIG={result.config.absolute()}",
            "membershift doctor",
            "membershift assess",
            f"membershift sandbox down --purge --folder {result.folder}",
        ),
        lang=lang,
    )


def stopped_document(result: Result, lang: str, *, purged: bool) -> Document:
    """What was stopped. `result` is the state before."""
    was = result.legacy is not None or result.target is not None
    text = "The sandbox was stopped." if was else "The sandbox was not running."
    kept = "Its data was deleted." if purged else "Its data is kept: `sandbox up` brings it back."
    return Document(tr(lang, "membershift sandbox"), Verdict("ok", f"{tr(lang, text)} {tr(lang, kept)}"), lang=lang)


def server_table(result: Result, lang: str) -> tuple[Table, ...]:
    """The servers that run; no table when none does."""
    servers = [server for server in (result.legacy, result.target) if server is not None]
    rows = tuple((server.name, f"{server.host}:{server.port}", server.version, str(server.pid)) for server in servers)
    columns = (tr(lang, "Server"), tr(lang, "Address"), tr(lang, "Version"), "pid")
    return (Table(tr(lang, "Servers"), columns, rows),) if rows else ()
