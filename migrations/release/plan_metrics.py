"""[metrics] of release.toml: where requests, errors and response times of stores come from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from etl.settings import Section

PromQL = Annotated[str, Field(min_length=1)]


class PrometheusSettings(Section):
    """PromQL, in which $stores is a regular expression that matches the stores, $window the length of time, such as 60s, and
    $series the counter of requests: `series`, a plain selector.

    `errors` gives how many requests failed within $window; a counter that does not exist before the first error needs
    "... or vector(0)". `url` may hold user:password; `bearer` is a token. Secrets as in membershift.toml.
    """

    url: SecretStr
    series: PromQL = 'http_requests_total{store=~"$stores"}'
    requests: PromQL = "sum(increase($series[$window]))"
    errors: PromQL = 'sum(increase(http_requests_total{store=~"$stores",code=~"5.."}[$window])) or vector(0)'
    latency_p99_s: PromQL | None = None
    bearer: SecretStr | None = None
    timeout_s: float = Field(default=5.0, ge=0.1, le=60)

    @field_validator("url")
    @classmethod
    def http(cls, url: SecretStr) -> SecretStr:
        """Nothing but HTTP is spoken; urllib would read a local file too."""
        if not url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("it has to begin with http:// or https://")
        try:
            named = urlsplit(url.get_secret_value())
            usable = bool(named.hostname) and (named.port or 1) > 0
        except ValueError:
            usable = False
        if not usable:
            raise ValueError("it names no host, or a port that cannot be")
        return url

    @field_validator("bearer")
    @classmethod
    def header(cls, bearer: SecretStr | None) -> SecretStr | None:
        """It fits into a header of HTTP."""
        if bearer is not None and not unquote(bearer.get_secret_value()).isprintable():
            raise ValueError("a token has no line breaks")
        return bearer


class SqlSettings(Section):
    """`query` on the target returns one row: requests, errors, and where they are known the 99th percentile of response times (s)
    and the time (UTC) of the newest request. :stores, :start and :end (UTC) stand for values."""

    query: str = Field(min_length=1)


class FileSettings(Section):
    """`path`: JSON or CSV with a row for each minute (and store): minute, store, requests, errors, latency_p99_s."""

    path: Path


class MetricsSettings(Section):
    """Which of the three is asked; None: no figures, so that every gate and trigger that needs them says UNKNOWN. `max_age_s`: a
    source whose newest figure is older gives nothing."""

    source: Literal["prometheus", "sql", "file"] | None = None
    max_age_s: float = Field(default=120.0, ge=10, le=3_600)
    prometheus: PrometheusSettings | None = None
    sql: SqlSettings | None = None
    file: FileSettings | None = None

    @model_validator(mode="after")
    def described(self) -> Self:
        """The source that is chosen has its table."""
        if self.source is not None and getattr(self, self.source) is None:
            raise ValueError(f"source is {self.source!r}, but there is no [metrics.{self.source}]")
        return self
