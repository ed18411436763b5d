"""The shape of release.toml: the waves of a release, when they may move, what they have to prove, and what sends them back.

Reading it, with line numbers, is in plan_file.py; which stores a wave holds is in waves.py.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from etl.settings import Section
from migrations.release.alerts.settings import AlertSettings
from migrations.release.plan_gates import GatesSettings, Share, Wait, merge_gates
from migrations.release.plan_metrics import MetricsSettings
from migrations.release.switch_hours import Hours, parse_dates, parse_hours

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
StoreCode = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\s\x00-\x1f](.*[^\s\x00-\x1f])?$")]


class StoresSettings(Section):
    """Where the stores are listed on the target: its business table, their code, what a wave's `region` is compared with, and the
    column by which `count` and `share` choose ("" for the code; smallest first)."""

    table: Identifier = "store"
    code: Identifier = "store_code"
    region: Identifier = "city"
    order: Annotated[str, Field(pattern=r"^([A-Za-z_][A-Za-z0-9_]{0,63})?$")] = ""


class PublishSettings(Section):
    """Where the map of routes goes. Paths are relative to release.toml. `haproxy_socket`: a path, or host:port. `acknowledge`:
    whether application instances say which map they hold; `instances`: how many of them there are at least."""

    routes: Path = Path("routes.json")
    flagd: Path | None = None
    haproxy_map: Path | None = None
    haproxy_socket: str = ""
    acks: Path = Path("acks")
    acknowledge: Literal["instances", "none"] = "instances"
    instances: int = Field(default=0, ge=0, le=100_000)
    acknowledge_s: float = Field(default=90.0, ge=1, le=3_600)


class WaveSettings(Section):
    """Stores that move together: named one by one, or chosen out of those that no wave before has. Exactly one of `stores`,
    `count`, `share` (of all stores), `region` and `query` (its first column is the code).

    `bake_s`: how long it is watched before the next. `shadow_s`: how long reads are compared first. `batch`: stores that are
    closed together. `approvals`: how many people agree before it begins. `by_itself`: promoted without anybody saying so.
    `gates`: what is different from [gates] for this wave.
    """

    name: Name
    stores: tuple[StoreCode, ...] = ()
    count: int | None = Field(default=None, ge=1, le=1_000_000)
    share: float | None = Field(default=None, gt=0, le=1)
    region: Name | None = None
    query: str | None = Field(default=None, min_length=1)
    bake_s: Wait = 600.0
    shadow_s: Wait = 0.0
    batch: int = Field(default=10, ge=1, le=100_000)
    approvals: int = Field(default=0, ge=0, le=100)
    by_itself: bool = True
    gates: GatesSettings = GatesSettings()

    @model_validator(mode="after")
    def chosen_once(self) -> Self:
        """One way to choose stores."""
        ways = [way for way in ("stores", "count", "share", "region", "query") if getattr(self, way) not in (None, ())]
        if len(ways) != 1:
            said = "none" if not ways else " and ".join(ways)
            raise ValueError(f"wave {self.name!r} needs one of stores, count, share, region or query, and has {said}")
        return self


DEFAULT_WAVES: Final = (
    WaveSettings(name="pilot", count=3),
    WaveSettings(name="some", count=10),
    WaveSettings(name="all", share=1.0),
)


class WindowSettings(Section):
    """When a switch may happen: `allow` ("Mon-Fri 22:00-06:00"; none: always), `never` on these dates ("2026-11-11" or
    "2026-11-10/2026-11-12"), both in `time_zone`."""

    allow: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    time_zone: str = "Asia/Shanghai"

    @field_validator("allow")
    @classmethod
    def hours(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        """Each can be read."""
        for text in texts:
            parse_hours(text)
        return texts

    @field_validator("never", mode="before")
    @classmethod
    def dates(cls, texts: object) -> object:
        """Each can be read; TOML has dates of its own."""
        if not isinstance(texts, list | tuple):
            return texts
        written = tuple(text.isoformat() if type(text) is date else text for text in texts)
        for text in written:
            if isinstance(text, str):
                parse_dates(text)
        return written

    @field_validator("time_zone")
    @classmethod
    def known_zone(cls, name: str) -> str:
        """It exists."""
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"there is no time zone {name!r}; an example is 'Asia/Shanghai'") from error
        return name

    @property
    def opening(self) -> Hours:
        """As times rather than texts."""
        ranges = tuple(parse_dates(text) for text in self.never)
        return Hours(tuple(parse_hours(text) for text in self.allow), ranges, ZoneInfo(self.time_zone))


class PromotionSettings(Section):
    """A wave is through once its gates have passed in `windows` windows of `window_s` seconds in a row, each with `min_requests`
    requests of its stores or more."""

    windows: int = Field(default=5, ge=1, le=1_000)
    window_s: float = Field(default=60.0, ge=10, le=3_600)
    min_requests: int = Field(default=100, ge=1)


class TriggerSettings(Section):
    """What sends the stores back by itself. `error_rate`: more than this for `minutes` one-minute windows in a row, each with
    `min_requests` requests or more; `latency_p99_s` counts alike. At once: `fast_burn` of a minute's requests and at least
    `fast_burn_errors`; more than `conflicts` or `dead_letters` of sync in a minute; an invariant broken. `blind_s` without any
    figure: `on_blind`; between one minute's figures and the next lie more than 70 s. A limit that is not set is not watched."""

    error_rate: Share = 0.02
    minutes: int = Field(default=5, ge=1, le=60)
    min_requests: int = Field(default=1, ge=1)
    fast_burn: Share = 0.20
    fast_burn_errors: int = Field(default=5, ge=1)
    latency_p99_s: float | None = Field(default=None, gt=0, le=3_600)
    conflicts: int | None = Field(default=None, ge=0)
    dead_letters: int | None = Field(default=None, ge=0)
    invariants: bool = True
    on_blind: Literal["pause", "rollback"] = "pause"
    blind_s: float = Field(default=180.0, ge=90, le=86_400)


class SwitchSettings(Section):
    """`compare_limit_s`: for the comparison of all rows before stores are closed, `compare_back_s` for that of stores that go
    back, which are not held up by it. `fence_limit_s`: acknowledgements, sync and the comparison of what changed since take no
    longer than this in all while stores are closed, then the old route is put back. `drain_limit_s`: of it for sync.
    `rescue_after_s`: TiDB has not answered for so long when a rollback no longer waits for it. `snapshot`: whether the rows of
    the stores are exported first."""

    compare_limit_s: float = Field(default=600.0, gt=0, le=86_400)
    compare_back_s: float = Field(default=30.0, gt=0, le=86_400)
    fence_limit_s: float = Field(default=60.0, gt=0, le=3_600)
    drain_limit_s: float = Field(default=30.0, gt=0, le=3_600)
    rescue_after_s: float = Field(default=15.0, gt=0, le=3_600)
    snapshot: bool = True


class RoleSettings(Section):
    """OS users by what they may do; anybody where a list is empty. `approver`: whose approvals count. `operator`: starts, pauses,
    promotes, rolls back. `overruler`: may force a gate."""

    approver: tuple[Name, ...] = ()
    operator: tuple[Name, ...] = ()
    overruler: tuple[Name, ...] = ()

    def of(self, user: str) -> tuple[str, ...]:
        """The roles of a user, in order of their names."""
        return tuple(role for role in sorted(type(self).model_fields) if user in getattr(self, role))

    def allows(self, role: Literal["approver", "operator", "overruler"], user: str) -> bool:
        """Whether a user may do what a role does."""
        users: tuple[str, ...] = getattr(self, role)
        return not users or user in users


class Plan(Section):
    """All of release.toml. `origin` is the file, `digest` the SHA-256 of its text, so that a change after planning is noticed."""

    name: Name
    stores: StoresSettings = StoresSettings()
    publish: PublishSettings = PublishSettings()
    waves: tuple[WaveSettings, ...] = Field(default=DEFAULT_WAVES, alias="wave", min_length=1)
    windows: WindowSettings = WindowSettings()
    promotion: PromotionSettings = PromotionSettings()
    gates: GatesSettings = GatesSettings()
    triggers: TriggerSettings = TriggerSettings()
    metrics: MetricsSettings = MetricsSettings()
    switch: SwitchSettings = SwitchSettings()
    alerts: AlertSettings = AlertSettings()
    roles: RoleSettings = RoleSettings()
    origin: Path = Path("release.toml")
    digest: str = ""

    @field_validator("waves")
    @classmethod
    def names_differ(cls, waves: tuple[WaveSettings, ...]) -> tuple[WaveSettings, ...]:
        """So that a message about a wave says which."""
        names = [wave.name for wave in waves]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"two waves are called {twice!r}")
        return waves

    @model_validator(mode="after")
    def enough_approvers(self) -> Self:
        """A wave that needs more of them than there are would wait for ever."""
        there = len(set(self.roles.approver))
        wave = next((wave for wave in self.waves if there and wave.approvals > there), None)
        if wave is not None:
            raise ValueError(f"wave {wave.name!r} needs {wave.approvals} approvals, and [roles] approver names {there} people")
        return self

    def path(self, path: Path) -> Path:
        """A path of the file, taken as relative to the folder of release.toml."""
        expanded = path.expanduser()
        return expanded if expanded.is_absolute() else self.origin.resolve().parent / expanded

    def gates_of(self, wave: int) -> GatesSettings:
        """[gates], with what the wave (from 0) says differently."""
        return merge_gates(self.gates, self.waves[wave].gates)
