"""What somebody decided in a release, and how a run, a rollback or the end of it went, as documents."""

from __future__ import annotations

from migrations.release.decide import BAKE, WINDOWS
from migrations.release.decisions import Decided
from migrations.release.going_back import Ended
from migrations.release.model import Phase
from migrations.release.wiring import RunEnded
from reports.document import Document, Figure, Verdict, human_duration
from reports.documents.release_plan import some
from reports.documents.release_texts import phase_text
from reports.text import told, tr

CARRY_ON = "Go on where it stopped; doing so is safe: `membershift release run`."


def decided_document(decided: Decided, lang: str) -> Document:
    """What was written down, and who carries it out."""
    titles = {
        "paused": tr(lang, "Release: pause"),
        "resumed": tr(lang, "Release: resume"),
        "approved": tr(lang, "Release: approve"),
        "promoted": tr(lang, "Release: promote"),
        "forced": tr(lang, "Release: force"),
    }
    verdict = Verdict("warn" if decided.what == "forced" else "ok", decided_text(decided, lang))
    return Document(titles[decided.what], verdict, next_steps=decided_steps(decided, lang), lang=lang)


def decided_text(decided: Decided, lang: str) -> str:
    """One sentence."""
    wave = (decided.wave or 0) + 1
    match decided.what:
        case "paused":
            return tr(lang, "Paused: no new switch begins. One under way is finished, and triggers are watched on.")
        case "resumed":
            return tr(lang, "Resumed.")
        case "approved":
            count = len(decided.state.approvals.get(decided.wave or 0, ()))
            return tr(lang, "{by} approved wave {wave}; {count} people have.", by=decided.by, wave=wave, count=count)
        case "promoted":
            return tr(lang, "Wave {wave} is through.", wave=wave)
        case _:
            return tr(
                lang,
                "Gate {gate} is overruled for the rest of the release. Every report says so from now on.",
                gate=decided.about,
            )


def decided_steps(decided: Decided, lang: str) -> tuple[str, ...]:
    """What happens next."""
    state, waves = decided.state, len(decided.state.waves)
    last = decided.what == "promoted" and len(state.promoted) == waves
    if last:
        return (tr(lang, "Every wave is through. Without a way back from then on: `membershift release complete`."),)
    if decided.what == "paused":
        return (tr(lang, "Go on with `membershift release resume`, or bring the stores back: `membershift release rollback`."),)
    if decided.what == "forced" and decided.about in (BAKE, WINDOWS):
        return (tr(lang, "It counts for a person only, nothing is promoted by itself for it: `membershift release promote`."),)
    if state.phase is Phase.PLANNED:
        return (tr(lang, "Start it: `membershift release start`."),)
    if decided.holder is None:
        return (tr(lang, "Nothing happens before a controller runs: `membershift release run`."),)
    who = tr(lang, "{holder} goes on with it within a second: `membershift release status`.", holder=decided.holder)
    return (who,)


def ended_document(ended: Ended, lang: str) -> Document:
    """How a rollback, the giving up, or the completion of a release went."""
    titles = {
        "rollback": tr(lang, "Release: rollback"),
        "abort": tr(lang, "Release: abort"),
        "complete": tr(lang, "Release: complete"),
    }
    return Document(
        titles[ended.what],
        ended_verdict(ended, lang),
        figures=(
            Figure(tr(lang, "Stores"), len(ended.stores), some(ended.stores)),
            Figure(tr(lang, "Stores on TiDB still"), len(ended.left), some(ended.left)),
            Figure(tr(lang, "Took"), human_duration(ended.seconds)),
        ),
        next_steps=ended_steps(ended, lang),
        lang=lang,
    )


def ended_verdict(ended: Ended, lang: str) -> Verdict:
    """One sentence."""
    values = {"release": ended.state.release, "count": f"{len(ended.stores):,}"}
    if ended.what == "complete" and not ended.carried_out:
        return Verdict("warn", tr(lang, "Release {release} is to be completed: ordered, and not done yet.", **values))
    if ended.what == "complete":
        return Verdict("ok", tr(lang, "Release {release} is completed: {count} stores are on TiDB for good.", **values))
    if ended.what == "abort":
        return Verdict("ok", tr(lang, "Release {release} is given up; every store writes to SQL Server.", **values))
    if ended.carried_out:
        return Verdict("ok", tr(lang, "{count} stores are back on SQL Server.", **values))
    if ended.holder is not None:
        return Verdict("warn", tr(lang, "{count} stores go back: {holder} does it now.", holder=ended.holder, **values))
    return Verdict("bad", tr(lang, "{count} stores are to go back, and are not back yet.", **values))


def ended_steps(ended: Ended, lang: str) -> tuple[str, ...]:
    """What happens next."""
    if ended.what == "complete" and not ended.carried_out:
        return (tr(lang, "See how far it is: `membershift release status`."), tr(lang, CARRY_ON))
    if ended.what == "complete":
        return (tr(lang, "Sync to SQL Server is not needed any more: `membershift sync stop`."),)
    if ended.what == "abort":
        return (tr(lang, "Another one can be planned: `membershift release plan`."),)
    if not ended.carried_out and ended.holder is None:
        return (tr(lang, CARRY_ON),)
    if not ended.carried_out:
        return (tr(lang, "See how far it is: `membershift release status`."),)
    steps = [tr(lang, "Find the cause: `membershift release history`, `membershift alerts list`.")]
    if ended.left:
        watched = tr(lang, "The other stores stay on TiDB and are watched on.")
        unwatched = tr(lang, "The other stores stay on TiDB, and nobody watches them: `membershift release run`.")
        steps.append(unwatched if ended.holder is None else watched)
    if ended.state.phase is Phase.PAUSED:
        return (*steps, tr(lang, "The release is paused: `membershift release resume` moves the stores once more."))
    return (*steps, tr(lang, "Then start again, `membershift release start`, or give up, `membershift release abort`."))


def run_document(ended: RunEnded, lang: str) -> Document:
    """How the foreground ended."""
    return Document(
        tr(lang, "Release: run"),
        run_verdict(ended, lang),
        figures=(
            Figure(tr(lang, "Stores on TiDB"), len(ended.on_tidb), some(ended.on_tidb)),
            Figure(tr(lang, "Ran for"), human_duration(ended.seconds)),
        ),
        next_steps=run_steps(ended, lang),
        lang=lang,
    )


def run_verdict(ended: RunEnded, lang: str) -> Verdict:
    """Over, back, or interrupted."""
    values = {"release": ended.release, "phase": phase_text(ended.phase, lang), "count": f"{len(ended.on_tidb):,}"}
    if ended.phase is Phase.ROLLED_BACK:
        return Verdict("bad", tr(lang, "Release {release} went back: {why}", why=told(lang, ended.sick), **values))
    if ended.over:
        return Verdict("ok", tr(lang, "Release {release} is {phase}.", **values))
    if ended.on_tidb:
        return Verdict(
            "warn",
            tr(lang, "Ended in order while release {release} is {phase}; {count} stores are on TiDB, unwatched.", **values),
        )
    return Verdict("ok", tr(lang, "Ended in order while release {release} is {phase}.", **values))


def run_steps(ended: RunEnded, lang: str) -> tuple[str, ...]:
    """What to do."""
    if ended.phase is Phase.ROLLED_BACK:
        return (
            tr(lang, "Find the cause: `membershift release history`, `membershift alerts list`."),
            tr(lang, "Then start again, `membershift release start`, or give up, `membershift release abort`."),
        )
    return () if ended.over else (tr(lang, CARRY_ON),)
