"""The [alerts] section of a plan: who is told what, and when others are told because nobody answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from etl.settings import Section

Level = Literal["red", "yellow", "blue"]
LEVELS: Final[tuple[Level, ...]] = ("red", "yellow", "blue")
"""The most urgent first."""

HOUR: Final = 3_600.0
NEXT: Final = "escalate"


def whole_url(secret: SecretStr) -> SecretStr:
    """An address that is a secret as a whole (a chat's webhook) was quoted when its reference was resolved."""
    text = secret.get_secret_value()
    return SecretStr(unquote(text)) if "://" not in text and "%3A%2F%2F" in text else secret


def as_steps(value: Any) -> Any:
    """One list of addresses is a single step.

    >>> as_steps(["a", "b"]), as_steps([["a"], ["b"]])
    ([['a', 'b']], [['a'], ['b']])
    """
    flat = isinstance(value, list | tuple) and value and not any(isinstance(item, list | tuple) for item in value)
    return [list(value)] if flat else value


Address = Annotated[SecretStr, AfterValidator(whole_url)]
Addresses = tuple[Address, ...]
Seconds = Annotated[float, Field(ge=0, le=7 * 24 * HOUR)]


class AlertSettings(Section):
    """Whom to tell: addresses for each level. http:// and https:// get a JSON document by POST, every other address is one of
    apprise (mailto://, dingtalk://, feishu://, wecombot://, slack://, ...). Red is told at once, yellow within 4 h, blue within
    24 h: until `gather_s`, `gather_yellow_s`, `gather_blue_s` are over, alerts are gathered into one message.

    One that nobody acknowledged within `escalate_s`, `escalate_yellow_s`, `escalate_blue_s` goes to the next list of `escalate`
    (several lists, or one) each time. The same alert is not sent again within `repeat_s`. A message that could not be sent is
    tried again after `retry_s`, then twice as long, up to `longest_retry_s`, and given up after `give_up_h` hours. Of more than
    `most_listed` alerts a message tells the number. `lang`: language of what it says around the texts.
    """

    red: Addresses = ()
    yellow: Addresses = ()
    blue: Addresses = ()
    escalate: Annotated[tuple[Addresses, ...], BeforeValidator(as_steps)] = ()
    gather_s: Seconds = 2.0
    gather_yellow_s: Seconds = 10 * 60.0
    gather_blue_s: Seconds = HOUR
    escalate_s: Seconds = 900.0
    escalate_yellow_s: Seconds = 4 * HOUR
    escalate_blue_s: Seconds = 24 * HOUR
    repeat_s: Seconds = 900.0
    retry_s: float = Field(default=5.0, gt=0, le=HOUR)
    longest_retry_s: float = Field(default=300.0, gt=0, le=HOUR)
    give_up_h: float = Field(default=72.0, gt=0, le=720)
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    most_listed: int = Field(default=20, ge=1, le=200)
    lang: Literal["en", "zh"] = "en"

    def gather(self, level: Level) -> float:
        """How long alerts of a level wait for others, in seconds."""
        return {"red": self.gather_s, "yellow": self.gather_yellow_s, "blue": self.gather_blue_s}[level]

    def patience(self, level: Level) -> float:
        """How long to wait for somebody to acknowledge, in seconds."""
        return {"red": self.escalate_s, "yellow": self.escalate_yellow_s, "blue": self.escalate_blue_s}[level]

    def receivers(self, level: Level, step: int) -> tuple[str, ...]:
        """Who is told at a step (0 at first), by the names under which state.db knows them: it holds no address."""
        group, addresses = (level, self.lists[level]) if step == 0 else (f"{NEXT} {step}", self.lists.get(f"{NEXT} {step}", ()))
        return tuple(f"{group}/{number}" for number in range(1, len(addresses) + 1))

    def address(self, receiver: str) -> str | None:
        """The address of a receiver, None when it is no longer in the plan."""
        group, _, number = receiver.rpartition("/")
        addresses = self.lists.get(group, ())
        return addresses[int(number) - 1].get_secret_value() if number.isdecimal() and 0 < int(number) <= len(addresses) else None

    @property
    def lists(self) -> Mapping[str, Addresses]:
        """Addresses by level and by step."""
        steps = {f"{NEXT} {number}": addresses for number, addresses in enumerate(self.escalate, 1)}
        return {"red": self.red, "yellow": self.yellow, "blue": self.blue, **steps}
