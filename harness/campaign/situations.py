"""Which situations a Case exercises: the words of the summary, so that a green run that tried nothing is visible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from handshaker.harness.case import Case, Script, Step
from handshaker.harness.transports import TRANSPORTS

__all__ = ["DATAGRAM_SITUATIONS", "SITUATIONS", "count", "known", "situations"]

_LARGE_BYTES: Final = 65_536

SITUATIONS: Final = (
    "one peer", "several peers", "no bytes at all", "one segment", "several segments", "byte by byte",
    "half-close after the message", "half-close with nothing sent", "silent to the end", "close", "reset",
    "reset before accept", "silence between segments", "peer stops reading", "large payload", "bytes above 127",
    "NUL bytes", "injected fault",
)  # fmt: skip

DATAGRAM_SITUATIONS: Final = (
    "one peer", "several peers", "one datagram", "several datagrams", "empty datagram", "datagram cut by the server",
    "datagram of 65,507 bytes", "silence between datagrams", "peer waits for a reply", "peer leaves",
    "peer stops reading", "datagram lost", "datagram twice", "datagram late", "bytes above 127", "NUL bytes",
    "injected fault",
)  # fmt: skip

_UNIX_SITUATIONS: Final = ("unbound peer", "abstract peer")
_AT_ONCE: Final = "peers at the same time"
_PACKET_BYTES: Final = 8_192
_LARGEST_BYTES: Final = 65_507
_DONE: Final = {
    "pause": "silence between datagrams", "expect": "peer waits for a reply", "close": "peer leaves",
    "stop-reading": "peer stops reading",
}  # fmt: skip
_ENDINGS: Final = {"close": "close", "reset": "reset"}


def known(transport: str, concurrency: str = "plain") -> tuple[str, ...]:
    """The situations that peers of this transport can bring about, under a server of this concurrency."""
    row = TRANSPORTS[transport]
    at_once = () if concurrency == "plain" else (_AT_ONCE,)
    if not row.datagram:
        return (*SITUATIONS, *at_once)
    return (*DATAGRAM_SITUATIONS, *(_UNIX_SITUATIONS if row.unix else ()), *at_once)


def count(case: Case, counts: Counter[str]) -> None:
    """Add the situations of *case* to *counts*."""
    counts.update(situations(case))


def situations(case: Case) -> set[str]:
    """The situations that *case* exercises."""
    names = {"one peer" if len(case.scripts) < 2 else "several peers"}
    if len(case.scripts) > 1 and case.concurrency != "plain":
        names.add(_AT_ONCE)
    datagram = TRANSPORTS[case.transport].datagram
    for fault in case.faults:
        names.add(f"datagram {fault.effect}" if fault.point == "deliver" else "injected fault")
    for script in case.scripts:
        names.update(_of_datagrams(script) if datagram else _of_script(script))
    if case.owner or case.faults:
        names.update(_of_owner(case))
    return names


def _of_owner(case: Case) -> Iterator[str]:
    """What is done with the server object; told only of servers that have methods of their own to try."""
    acts = [act.action for act in case.owner]
    yield from (name for action, name in _OWNER.items() if action in acts)
    yield from (_OWNER_FAULTS[fault.point] for fault in case.faults if fault.point in _OWNER_FAULTS)
    if acts.count("close") > 1:
        yield "server closed twice"
    serving = False
    for action in acts:
        serving = action == "serve" or (serving and action != "shutdown")
        if serving and action in ("close", "exit"):
            yield "server closed while serving"


_OWNER: Final = {
    "serve": "serve_forever() by its owner", "shutdown": "shutdown() by its owner", "handle": "handle_request()",
    "exit": "with statement", "stop": "peer while shutdown() waits",
}  # fmt: skip
_OWNER_FAULTS: Final = {
    "server_bind": "bind fails", "server_activate": "listen fails", "service_actions": "service_actions() raises",
}  # fmt: skip


def _of_datagrams(script: Script) -> Iterator[str]:
    sends = [step for step in script.steps if step.action == "send"]
    if sends:
        yield "one datagram" if len(sends) == 1 else "several datagrams"
    if script.form:
        yield f"{script.form} peer"
    yield from (_DONE[step.action] for step in script.steps if step.action in _DONE)
    for step in sends:
        size = len(step.data) * step.repeat
        if not size:
            yield "empty datagram"
        if size > _PACKET_BYTES:
            yield "datagram cut by the server"
        if size == _LARGEST_BYTES:
            yield "datagram of 65,507 bytes"
        yield from _of_bytes(step)


def _of_bytes(step: Step) -> Iterator[str]:
    if not step.data.isascii():
        yield "bytes above 127"
    if b"\0" in step.data:
        yield "NUL bytes"


def _of_script(script: Script) -> Iterator[str]:
    actions = [step.action for step in script.steps]
    sends = [step for step in script.steps if step.action == "send"]
    yield "no bytes at all" if not sends else "one segment" if len(sends) == 1 else "several segments"
    if len(sends) > 1 and all(len(step.data) * step.repeat == 1 for step in sends):
        yield "byte by byte"
    if "half-close" in actions:
        yield "half-close after the message" if sends else "half-close with nothing sent"
    elif not set(actions) & {"close", "reset"}:
        yield "silent to the end"
    yield from (name for action, name in _ENDINGS.items() if action in actions)
    if "reset" in actions[: script.early]:
        yield "reset before accept"
    if "pause" in actions:
        yield "silence between segments"
    if "stop-reading" in actions:
        yield "peer stops reading"
    for step in sends:
        if len(step.data) * step.repeat >= _LARGE_BYTES:
            yield "large payload"
        yield from _of_bytes(step)
