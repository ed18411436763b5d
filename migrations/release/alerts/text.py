"""What a message says: what happened, what was done, what to do; one message for many alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from migrations.release.alerts.model import Standing
from migrations.release.alerts.settings import LEVELS, Level

Lang = Literal["en", "zh"]
Why = Literal["raised", "worse", "escalated", "resolved"]

WORDS: Final[dict[Lang, dict[str, str]]] = {
    "en": {
        "red": "RED, at once",
        "yellow": "YELLOW, within 4 h",
        "blue": "BLUE, within 24 h",
        "happened": "What happened",
        "done": "What was done",
        "todo": "What to do",
        "raised": "",
        "worse": "It got worse. ",
        "escalated": "Nobody acknowledged it in time. ",
        "resolved": "Over: ",
        "times": "raised {count} times since {at} UTC",
        "more": "... and {count} more: membershift alerts list",
        "many": "{count} alerts ({levels})",
        "acknowledge": "Acknowledge: membershift alerts acknowledge {numbers}",
    },
    "zh": {
        "red": "红色（立即处理）",
        "yellow": "黄色（4 小时内）",
        "blue": "蓝色（24 小时内）",
        "happened": "发生了什么",
        "done": "已采取的措施",
        "todo": "需要做什么",
        "raised": "",
        "worse": "情况加重。",
        "escalated": "逾期无人确认。",
        "resolved": "已解除：",
        "times": "自 {at} UTC 起共触发 {count} 次",
        "more": "……另有 {count} 条：membershift alerts list",
        "many": "{count} 条告警（{levels}）",
        "acknowledge": "确认：membershift alerts acknowledge {numbers}",
    },
}


@dataclass(frozen=True)
class Told:
    """An alert, and why somebody is told of it now."""

    standing: Standing
    why: Why


@dataclass(frozen=True)
class Message:
    """`level` is that of the most urgent alert in it."""

    level: Level
    title: str
    body: str


def write_message(told: Sequence[Told], lang: Lang, most_listed: int) -> Message:
    """One message for alerts of any number, the most urgent first."""
    ordered = sorted(told, key=lambda one: (LEVELS.index(one.standing.alert.level), one.standing.id))
    words, level = WORDS[lang], ordered[0].standing.alert.level
    paragraphs = [paragraph(one, lang) for one in ordered[:most_listed]]
    if len(ordered) > most_listed:
        paragraphs.append(words["more"].format(count=len(ordered) - most_listed))
    open_ones = [one.standing.id for one in ordered[:most_listed] if one.standing.open and not one.standing.acknowledged_by]
    if open_ones:
        paragraphs.append(words["acknowledge"].format(numbers=" ".join(map(str, open_ones))))
    return Message(level, title_of(ordered, lang), "\n\n".join(paragraphs))


def title_of(ordered: Sequence[Told], lang: Lang) -> str:
    """One alert by its title, several by how many of each level."""
    words = WORDS[lang]
    if len(ordered) == 1:
        one = ordered[0]
        return f"[{words[one.standing.alert.level]}] {words[one.why]}{one.standing.alert.title}"
    counts = Counter(one.standing.alert.level for one in ordered)
    levels = ", ".join(f"{words[level]}: {counts[level]}" for level in LEVELS if counts[level])
    return f"[{words[ordered[0].standing.alert.level]}] {words['many'].format(count=len(ordered), levels=levels)}"


def paragraph(one: Told, lang: Lang) -> str:
    """Everything that is to be said of one."""
    words, alert = WORDS[lang], one.standing.alert
    lines = [f"#{one.standing.id} [{words[alert.level]}] {words[one.why]}{alert.title}"]
    for name, text in (("happened", alert.happened), ("done", alert.done), ("todo", alert.todo)):
        if text and (one.why != "resolved" or name == "happened"):
            lines.append(f"{words[name]}: {text}")
    if one.standing.count > 1:
        at = one.standing.raised_at.strftime("%Y-%m-%d %H:%M:%S")
        lines.append(words["times"].format(count=one.standing.count, at=at))
    return "\n".join(lines)
