"""A mapping as a document: what it says, and whether it fits both sides."""

from __future__ import annotations

from etl.mapping.check import MappingCheck, PartCheck
from etl.mapping.model import Argument, ColumnMapping, Mapping, Part
from etl.mapping.transforms.base import ArgumentSpec
from etl.mapping.transforms.registry import TRANSFORMS
from reports.document import Document, Figure, Table, Verdict
from reports.text import told, tr


def check_document(check: MappingCheck, lang: str) -> Document:
    """Whether every part fits."""
    source = (
        tr(lang, "Source columns are those of the stage.")
        if check.staged
        else tr(lang, "Source columns were read from the source.")
    )
    rows = tuple(
        (
            "bad" if part.problem else "ok",
            part.name,
            part.source,
            part.columns,
            ", ".join(part.unread),
            ", ".join(part.unfilled),
        )
        for part in check.parts
    )
    heading = (
        "",
        tr(lang, "Part"),
        tr(lang, "Source"),
        tr(lang, "Columns"),
        tr(lang, "Source columns not used"),
        tr(lang, "Target columns left empty"),
    )
    return Document(
        title=tr(lang, "Mapping check"),
        verdict=check_verdict(check, lang),
        figures=(Figure(tr(lang, "Mapping"), check.mapping), Figure(tr(lang, "Mapping parts"), len(check.parts))),
        tables=(
            *(problem_table(part, lang) for part in check.parts if part.problem),
            Table(tr(lang, "Mapping parts"), heading, rows, source, status_column=0),
        ),
        next_steps=()
        if check.problems
        else (tr(lang, "Run `membershift load` to see what it would load and refuse; nothing is written without --execute."),),
        lang=lang,
    )


def check_verdict(check: MappingCheck, lang: str) -> Verdict:
    """One sentence."""
    if check.problems:
        return Verdict("bad", tr(lang, "{count} parts do not fit. Nothing was changed.", count=check.problems))
    return Verdict("ok", tr(lang, "Every part fits the source's columns and the target's."))


def problem_table(part: PartCheck, lang: str) -> Table:
    """What is wrong with a part, and what to do."""
    return Table(
        part.name, (tr(lang, "What is wrong"), tr(lang, "What to do")), ((told(lang, part.problem), told(lang, part.remedy)),)
    )


def mapping_document(mapping: Mapping, parts: tuple[Part, ...], lang: str) -> Document:
    """What `parts` of a mapping do, column by column."""
    return Document(
        title=tr(lang, "Mapping {name}", name=mapping.name),
        verdict=Verdict(
            "ok", tr(lang, "{parts} parts fill {tables} tables.", parts=len(parts), tables=len({part.target for part in parts}))
        ),
        figures=(
            Figure(tr(lang, "Folder"), str(mapping.folder)),
            Figure(tr(lang, "Time zone of the source"), mapping.time_zone),
            Figure(tr(lang, "Dates that mean none"), ", ".join(mapping.sentinels)),
            *(system_figure(mapping, name, lang) for name in mapping.systems),
        ),
        tables=tuple(part_table(part, lang) for part in parts),
        next_steps=(tr(lang, "Run `membershift mapping check` to compare it with both sides."),),
        lang=lang,
    )


def system_figure(mapping: Mapping, name: str, lang: str) -> Figure:
    """Where ids of a system come from."""
    system = mapping.systems[name]
    how = tr(lang, "legacy ids are kept") if system.ids == "keep" else tr(lang, "new ids are made")
    return Figure(tr(lang, "Members of {system}", system=name), f"{system.table}.{system.key}", how)


def part_table(part: Part, lang: str) -> Table:
    """The columns of a part."""
    rows = tuple(
        (column.target, ", ".join(column.sources), describe(column), column.personal, rules(column)) for column in part.columns
    )
    rejects = "; ".join(f"{rule.code}: {rule.expression}" for rule in part.rejects)
    heading = (
        tr(lang, "Target column"),
        tr(lang, "Source columns"),
        tr(lang, "Transform"),
        tr(lang, "Personal"),
        tr(lang, "Rules"),
    )
    return Table(
        f"{part.name} ← {part.source}", heading, rows, tr(lang, "Rows left out: {rules}", rules=rejects) if rejects else ""
    )


def describe(column: ColumnMapping) -> str:
    """A column's transform with the arguments that are not what they are anyway."""
    if column.transform == "constant":
        return f"= {column.args['value']!r}"
    if column.member is not None:
        return f"member({column.member})"
    specs = TRANSFORMS[column.transform].args
    given = [f"{name}={shown(value)}" for name, value in column.args.items() if told_apart(specs[name], name, value)]
    return f"{column.transform}({', '.join(given)})" if given else column.transform


def told_apart(spec: ArgumentSpec, name: str, value: Argument) -> bool:
    """Is the argument worth showing? The mapping's zone and sentinels are shown once, above."""
    return name not in ("zone", "sentinels") and value != spec.default


def shown(value: Argument) -> str:
    """An argument in few characters."""
    if isinstance(value, str | int | float | bool):
        return repr(value)
    return "{...}" if not isinstance(value, tuple) else "[...]"


def rules(column: ColumnMapping) -> str:
    """What happens to values that are missing or cannot be read."""
    told = ["required"] if column.required else []
    told += [f"default {column.default!r}"] if column.default is not None else []
    told += ["on_bad null"] if column.on_bad == "null" else []
    return ", ".join(told)


def transforms_document(lang: str) -> Document:
    """The transforms there are, with their arguments."""
    heading = (tr(lang, "Name"), tr(lang, "Meaning"), tr(lang, "Reads"), tr(lang, "Arguments"))
    rows = tuple(
        (name, tr(lang, transform.meaning), ", ".join(transform.accepts[0]), ", ".join(map(argument, transform.args.items())))
        for name, transform in sorted(TRANSFORMS.items())
    )
    return Document(
        title=tr(lang, "Transforms"),
        verdict=Verdict("ok", tr(lang, "{count} transforms may stand in `as`.", count=len(rows))),
        tables=(Table(tr(lang, "Transforms"), heading, rows),),
        next_steps=(tr(lang, "docs/mappings.md explains each with examples."),),
        lang=lang,
    )


def argument(item: tuple[str, ArgumentSpec]) -> str:
    """An argument and what it is when left out."""
    name, spec = item
    if spec.default is None:
        return name
    return f"{name}={spec.default!r}" if isinstance(spec.default, str | int | bool) and spec.default != "" else f"[{name}]"
