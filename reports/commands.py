"""The lines that close a finding: how to see it again, how to accept its exception, how to silence its invariant.

They are there to be copied, so they are whole, quoted for the shell, and repeat what was declared for the target.
"""

from __future__ import annotations

import shlex
from typing import Any, Final

from handshaker.harness.notices import FindingReady
from handshaker.harness.verdict import Finding
from handshaker.reports.text import Line, clean, line

__all__ = ["closing_lines"]

_ARGUMENTS: Final = {"--allow-exception": "allowed_exceptions", "--exclude-invariants": "exclude_invariants"}
_OPTIONS: Final = {
    "server": "--server",
    "factory": "--factory",
    "implementation": "--implementation",
    "transport": "--transport",
    "concurrency": "--concurrency",
    "stateless": "--stateless",
    "example": "--example",
    "reset": "--reset",
    "cwd": "--cwd",
    "allowed_exceptions": "--allow-exception",
}
_ACCEPTING: Final = ("handler/", "lifecycle/finish-does-not-raise", "server/service-actions")
"""Invariants that a declared exception does not break."""
_USUAL: Final = {"transport": "tcp", "concurrency": "plain"}


def closing_lines(ready: FindingReady, *, indent: int = 2) -> list[Line]:
    """The replay, accept (only for an exception) and silence lines."""
    finding = ready.finding
    rows = [("replay", _replay(ready))]
    if finding.violation.exception and finding.invariant.startswith(_ACCEPTING):
        rows.append(("accept", _change(finding, "--allow-exception", _importable(finding.violation.exception))))
    rows.append(("silence", _change(finding, "--exclude-invariants", finding.invariant)))
    return [line(" " * indent, (f"{label:<9}", "dim"), (command, "command")) for label, command in rows]


def _replay(ready: FindingReady) -> str:
    """A command that works: from the saved file when there is one, else the run that found it."""
    finding = ready.finding
    if finding.replay:
        return clean(finding.replay)
    if ready.saved:
        return f"handshaker replay {finding.id}"
    return f"{_run(finding)} --seed {finding.seed}"


def _change(finding: Finding, option: str, value: str) -> str:
    """The run with one more option; for a target that only a test module can name, the argument to declare there.

    A finding without a phase comes from no campaign: it was played by `given_case`, or by hand.
    """
    if finding.replayable:
        return f"{_run(finding)} {option} {_quoted(value)}"
    declaration = "lifecycle_test" if finding.phase else "given_case"
    return f"{declaration}(..., {_ARGUMENTS[option]}=[{clean(repr(value))}])"


def _run(finding: Finding) -> str:
    words = ["handshaker run", _quoted(finding.target)]
    for name, option in _OPTIONS.items():
        value = finding.settings.get(name)
        words += _option(option, value) if value != _USUAL.get(name) else []
    return " ".join(words)


def _option(option: str, value: Any) -> list[str]:
    """One declaration as words of a command line: a flag, an option with its value, or one option for each value."""
    if isinstance(value, bool):
        return [option] if value else []
    if isinstance(value, (tuple, list)):
        return [word for each in value for word in _option(option, each)]
    if isinstance(value, bytes):
        value = repr(value)[2:-1]
    return [option, _quoted(str(value))] if value else []


def _quoted(value: str) -> str:
    return shlex.quote(clean(value))


def _importable(exception: str) -> str:
    """`package.module.Name` as the command line takes it: `package.module:Name`."""
    module, dot, name = exception.rpartition(".")
    return f"{module}:{name}" if dot and ":" not in exception else exception
