"""Saved findings, made ready to be played again: what was declared, and what must show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from handshaker.harness import codec
from handshaker.harness.campaign.sighting import COMPLETENESS, CONCURRENT, Sighting
from handshaker.harness.errors import CaseFileError, did_you_mean
from handshaker.harness.invariants.base import REGISTRY
from handshaker.harness.settings import Settings
from handshaker.harness.verdict import Finding

__all__ = ["concerns", "settings_of", "sighting_of"]

_HOSTING: Final = ("server", "factory", "transport", "concurrency", "implementation", "loader", "cwd")
_USUAL: Final = {"transport": "tcp", "concurrency": "plain"}


def settings_of(finding: Finding, where: str) -> Settings:
    """The settings that *finding*, read from *where*, was found under.

    Raises CaseFileError when they are damaged, or when its invariant is not one of ours.
    """
    if finding.invariant not in REGISTRY:
        meant = did_you_mean(finding.invariant, REGISTRY)
        raise CaseFileError(f"{where}: field 'finding.invariant': {finding.invariant!r} is no invariant; {meant}")
    declared = {name: _plain(value) for name, value in finding.settings.items()}
    document = {"seed": finding.seed, **_USUAL, **declared, "target": finding.target}
    return codec.decode(Settings, document, where=f"{where}: finding.settings")


def _plain(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else codec.encode(value)


def sighting_of(finding: Finding) -> Sighting:
    """What must show when *finding* is played again."""
    area, _, rule = finding.invariant.partition("/")
    rule = CONCURRENT if rule.startswith(CONCURRENT) else rule
    relation = "" if finding.contrast is None else rule if area == "relation" else COMPLETENESS
    return Sighting(
        finding.invariant, finding.violation, finding.case, finding.folded, finding.contrast, relation, finding.history
    )


def concerns(finding: Finding, settings: Settings, judged: frozenset[str]) -> bool:
    """Whether a campaign with *settings*, which judges *judged*, can tell if *finding* still shows.

    One that was hosted otherwise, whose invariant is left out, or whose exception is accepted now, is left alone.
    """
    newly_allowed = set(settings.allowed_exceptions) - set(finding.settings.get("allowed_exceptions", ()))
    maybe_allowed = bool(newly_allowed) and bool(finding.violation.exception)
    same = _hosting(finding.settings) == _hosting(settings.declarations())
    return same and finding.invariant in judged and not maybe_allowed


def _hosting(declared: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: declared[name] for name in _HOSTING if declared.get(name) and declared[name] != _USUAL.get(name)}
    found: dict[str, Any] = codec.encode(told)
    found.get("loader", {}).pop("sys_path", None)
    return found
