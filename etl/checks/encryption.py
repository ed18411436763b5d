"""Whether member data can be read on its way between us and a server."""

from __future__ import annotations

from typing import Literal

from etl.checks.model import CheckResult
from etl.source.address import is_loopback


def judge_encryption(side: Literal["source", "target"], *, encrypted: bool, tls: str, host: str) -> CheckResult:
    """Plain text is right on this machine and nowhere else; encryption to a server that proved nothing is worth a word."""
    values = (("side", side), ("host", host))
    remedy = 'Set [{side}] tls = "verify", and tls_ca to the file of the authority that signed the server\'s certificate.'
    if encrypted and tls == "trust":
        found = "Encrypted, but the certificate of {host} is not checked."
        return CheckResult("encryption", side, "warn", found, remedy, values)
    if encrypted:
        return CheckResult("encryption", side, "ok", "Encrypted (TLS).", values=values)
    if is_loopback(host):
        return CheckResult("encryption", side, "ok", "Plain text, which never leaves this machine.", values=values)
    found = "Plain text over the network to {host}: member data can be read on the way."
    return CheckResult("encryption", side, "warn", found, remedy, values)
