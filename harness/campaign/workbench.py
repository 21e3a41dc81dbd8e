"""What every task of a campaign needs once its process has the target: the stage, the judge, the plan of traffic."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, Self

from handshaker.harness import codec
from handshaker.harness.campaign.reduce import measure
from handshaker.harness.campaign.sighting import COMPLETENESS, CONCURRENT, Sighting
from handshaker.harness.case import Case, Script, Step
from handshaker.harness.contract import Contract
from handshaker.harness.errors import UsageError
from handshaker.harness.invariants.base import Family
from handshaker.harness.judge import Judge, primary
from handshaker.harness.processes.sideeffects import watch_side_effects
from handshaker.harness.recorder import RUN, ConcurrentRun
from handshaker.harness.runner import Stage
from handshaker.harness.settings import Settings
from handshaker.harness.trace import Trace
from handshaker.harness.transports import TRANSPORTS
from handshaker.harness.verdict import Outcome
from handshaker.strategies.crowds import alone
from handshaker.strategies.family import family, two_pieces
from handshaker.targets.base import TargetKind, qualified_name
from handshaker.targets.instrument import hosting_failure, latest_birth

__all__ = ["CORNERED", "Workbench", "left_open", "outcome", "resolve"]

_QUESTION: Final = "question:"
CORNERED: Final = 71
"""The exit status of a process that was ended because the handler in it swallows every stop."""
_HANDLERS: Final = (TargetKind.HANDLER_CLASS, TargetKind.HANDLER_CALLABLE)
_RAISED: Final = ("init.raise", "setup.raise", "handle.raise", "finish.raise", "server.stopped")


def resolve(text: str, option: str) -> Any:
    """The object that `module:attribute` names. Raises UsageError naming *option* when there is none."""
    module, _, attribute = text.partition(":")
    try:
        found = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"{option}: {text!r} cannot be imported ({error}); write it as module:attribute") from None
    return found


class Workbench:
    """A target on its stage, with its judge. Use it as a context manager.

    With *guard*, which is for a process of ours only, connections to other machines are refused while a Case is played,
    and `touched` collects what the handler did to the world outside its connection, as (action, detail).

    A handler that swallows every stop is ended together with its process; `cornered` is told the Case and its recorder
    before that, so that what it shows is not lost.

    Under a plain server that we chose, a handler that asks for an attribute of some other one breaks nothing: such a
    Case is not judged, and `misfits` collects the names of what was asked for.
    """

    def __init__(
        self,
        target: Any,
        settings: Settings,
        network: str,
        *,
        guard: bool = False,
        reset: Callable[[], object] | None = None,
    ) -> None:
        self.settings = settings
        self.touched: list[tuple[str, str]] = []
        self.misfits: list[str] = []
        self._misfit = False
        self._effects = watch_side_effects(self._touch) if guard else None
        self.target = target
        self.network = network
        self.cornered: Callable[[Case, Any], object] = _nothing
        self.alive: Callable[[], object] = RUN.alive
        self._playing = Case()
        self._reset = resolve(settings.reset, "reset") if settings.reset else reset
        self._about = about = target.describe()
        self.server_name = about.server
        self.beside = about.beside
        self.contract: Contract = self.target.contract(
            stateless=settings.stateless, allowed_exceptions=settings.allowed_exceptions, example=settings.example
        )
        self.stage = Stage(self.target, network=self.network)
        self.judge = Judge(self.contract, settings.invariants, settings.exclude_invariants, header=self.stage.header)
        self._questions: list[tuple[str, str]] = []
        self._quiet: dict[str, Any] = {}

    @classmethod
    def of(cls, context: Any, arguments: dict[str, Any], *, guard: bool = False) -> Self:
        """The bench that a task's arguments describe, with what preflight has learnt about the target."""
        if arguments.get("handler"):
            context.target.learn(resolve(arguments["handler"], "handler"))
        settings = codec.decode(Settings, arguments["settings"], where="settings")
        bench = cls(context.target, settings, arguments["network"], guard=guard)
        bench.alive = context.pulse
        return bench

    def __enter__(self) -> Self:
        self.stage.__enter__()
        self._unstoppable, RUN.unstoppable = RUN.unstoppable, self._corner
        RUN.witness = self._witness
        RUN.alive, self.alive = self.alive, RUN.alive
        return self

    def __exit__(self, *exc_info: object) -> None:
        RUN.unstoppable, RUN.witness = self._unstoppable, None
        RUN.alive, self.alive = self.alive, RUN.alive
        self.stage.__exit__(*exc_info)

    def _corner(self) -> None:
        recorder, case = RUN.recorder, self._playing
        RUN.clear()
        self.cornered(case, recorder)
        os._exit(CORNERED)

    def hosted(self, case: Case) -> Case:
        """*case*, made for a stream, as this bench plays it: over its transport, under a server of its concurrency.

        Raises UsageError for what peers of datagrams cannot do.
        """
        hosted = replace(case, transport=self._about.transport, concurrency=self._about.concurrency)
        if not TRANSPORTS[self._about.transport].datagram:
            return hosted
        return replace(hosted, scripts=tuple(map(_of_datagrams, case.scripts)))

    def run(self, case: Case) -> Any:
        """Play *case* on a fresh server, after the user's `reset`, and return the recorder."""
        self._playing = case
        self._misfit = False
        if self._reset is not None:
            self._clear_state(self._reset)
        if self._effects is None:
            return self.stage.run(case)
        self._effects.armed = True
        try:
            recorder = self.stage.run(case)
            if self.stage.is_apart(case):
                self._effects.hear(recorder.flat)
            return recorder
        finally:
            self._effects.armed = False

    def _clear_state(self, reset: Callable[[], object]) -> None:
        try:
            reset()
        except Exception as error:
            raise UsageError(
                f"reset: {self.settings.reset or reset!r} raised {type(error).__name__}: {error}; it is called before "
                "every case, without arguments, and must not raise"
            ) from error

    def _touch(self, action: str, detail: str) -> None:
        if isinstance(RUN, ConcurrentRun):
            RUN.emit((("probe.side-effect", RUN.connection, action), detail))  # who plays the Case will hear of it
        elif not self.stage.state.putting_back:
            self.touched.append((action, detail))

    def play(self, case: Case) -> Trace:
        """Play *case* and return its Trace."""
        trace: Trace = self.run(case).trace(self.stage.header)
        return trace

    def preflight(self, case: Case) -> Any:
        """Play *case* and return the recorder.

        Raises TargetError when the handler does not fit its server. `learnt` is then the name of the class that an
        opaque callable makes.
        """
        failures: list[BaseException] = []
        # Only these are kept: a kept exception keeps the handler and its connection alive.
        RUN.witness = lambda error: failures.append(error) if hosting_failure(error) or _unborn() else None
        try:
            recorder = self.run(case)
        except UsageError:
            raise
        except Exception as error:
            raise self.target.preflight_error(error) from error
        finally:
            RUN.witness = self._witness
        for failure in failures:
            raise self.target.preflight_error(failure)
        return recorder

    @property
    def _witness(self) -> Callable[[BaseException], None] | None:
        told = self._about
        chosen = self.settings.server or self.settings.factory or told.kind not in _HANDLERS
        return self._note_misfit if not chosen and told.server.startswith("socketserver:") else None

    def _note_misfit(self, error: BaseException) -> None:
        if isinstance(error, AttributeError) and error.name and hosting_failure(error):
            self._misfit = True
            self.misfits.append(error.name)

    @property
    def learnt(self) -> str:
        """`module:Class` of the handler that an opaque callable was seen to make, when it can be found by that name."""
        born = latest_birth()
        return qualified_name(born) if born is not None and "<" not in born.__qualname__ else ""

    def sightings(self, case: Case) -> list[Sighting]:
        """Play *case* and return what it violates, primary causes only."""
        recorder = self.run(case)
        return [] if self.judge.screen(recorder.flat) else self.judged(recorder, case)

    def judged(self, recorder: Any, case: Case) -> list[Sighting]:
        """What a recorded run of *case*, the last one that was played, violates: primary causes only."""
        if self._misfit:
            return []
        trace = recorder.trace(self.stage.header)
        return [
            Sighting(verdict.invariant, violation, case, folded)
            for verdict, violation, folded in primary(self.judge.verdicts(trace))
        ]

    def cornered_in(self, recorder: Any, case: Case) -> list[Sighting]:
        """What a run of *case* violates that could not be brought to its end: only how the handler failed to end."""
        return [found for found in self.judged(recorder, case) if found.invariant.startswith("liveness/")]

    def related(
        self, relation: str, base: Case, variant: Case, base_flat: Any = None, variant_flat: Any = None
    ) -> list[Sighting]:
        """Compare *variant* with *base*; equal replies settle it, a difference is judged over three Traces.

        What was recorded of them already need not be played again.
        """
        first = base_flat if base_flat is not None else self.run(base).flat
        second = variant_flat if variant_flat is not None else self.run(variant).flat
        last_only = relation in ("isolation", "repeatability", CONCURRENT)
        told = outcome(first, last_only=last_only)
        if told == outcome(second, last_only=last_only):
            if _replied(told):
                self.judge.settle(_SETTLED.get(relation, f"relation/{relation}"))
            return []
        kin = Family(relation, self.play(base), self.play(base), self.play(variant))
        if self._misfit:
            return []
        if relation == "segmentation" and self._drifts(kin, base):
            return []
        verdicts = self.judge.judge_family(kin)
        self._questions += [
            (verdict.invariant, verdict.reason.removeprefix(_QUESTION).strip())
            for verdict in verdicts
            if verdict.reason.startswith(_QUESTION)
        ]
        return [
            Sighting(verdict.invariant, violation, variant, folded, contrast=base, relation=relation)
            for verdict, violation, folded in primary(verdicts)
        ]

    def family(self, case: Case) -> list[tuple[str, Case]]:
        """The relatives of *case*, as (relation, Case), for what this server does with datagrams that are too long."""
        return family(case, packet_bytes=self.contract.max_packet_size)

    def neighbours(self, case: Case, flat: Any = None) -> list[Sighting]:
        """Whether the last peer of *case* gets what it gets alone; *flat* is what was recorded of *case*, if it was."""
        quiet = alone(case)
        if quiet is None:
            return []
        if quiet.digest not in self._quiet:
            self._quiet = {quiet.digest: self.run(quiet).flat}
        return self.related(CONCURRENT, quiet, case, self._quiet[quiet.digest], flat)

    def _drifts(self, family: Family, base: Case) -> bool:
        """Whether the reply to *base* changes by itself, more slowly than one repeat can tell: a counter, a clock."""
        later = replace(family, variant=self.play(base))
        return any(verdict.outcome is Outcome.VIOLATED for verdict in self.judge.relations(later))

    def take_questions(self) -> list[tuple[str, str]]:
        """The questions that relations have raised since the last call: (slug, text)."""
        taken, self._questions = self._questions, []
        return taken

    def showing(self, sighting: Sighting, case: Case) -> Iterable[Sighting]:
        """What *case* shows that may be *sighting* again, the plainest first.

        For a relation, *case* is the one that is compared with.
        """
        if not sighting.relation:
            return self.sightings(case)
        if sighting.relation == CONCURRENT:
            return self.neighbours(case)
        return self._relation_in(sighting, case, [*two_pieces(case), *self.family(case)])

    def shows(self, sighting: Sighting, case: Case) -> Sighting | None:
        """The same finding in *case*, if it is there."""
        if sighting.relation == CONCURRENT:
            found: Iterable[Sighting] = self.neighbours(case)
        else:
            found = self._relation_in(sighting, case, self.family(case)) if sighting.relation else self.sightings(case)
        return next((seen for seen in found if seen.key == sighting.key), None)

    def _relation_in(self, sighting: Sighting, base: Case, relatives: Iterable[tuple[str, Case]]) -> Iterable[Sighting]:
        if sighting.relation == COMPLETENESS:
            yield from self.related(COMPLETENESS, base, left_open(base))
        variants = [variant for relation, variant in relatives if relation == sighting.relation]
        for variant in sorted(variants, key=measure):
            yield from self.related(sighting.relation, base, variant)


def _unborn() -> bool:
    """Whether the handler's own constructor is at work, before anything that a peer could have a part in."""
    kinds = {what[0] for what in RUN.recorder.flat[::2]} if RUN.recorder is not None else set()
    return "init.enter" in kinds and "setup.enter" not in kinds


def _nothing(case: Case, recorder: Any) -> None:
    """Nobody wants to know."""


def left_open(case: Case) -> Case:
    """The same Case, whose peers send what they send and then stay, waiting for the answer."""
    return replace(case, scripts=tuple(map(_without_half_close, case.scripts)))


def _of_datagrams(script: Script) -> Script:
    """The same peer with datagrams: one that only comes and goes sends one of no bytes."""
    if script.steps == (Step("half-close"),):
        return replace(script, steps=(Step("send"),))
    for step in script.steps:
        if step.action in ("half-close", "reset"):
            raise UsageError(
                f"--{step.action}: a peer of datagrams has no connection that it could end; leave it away, or write "
                "--close, and the peer leaves: its socket is closed"
            )
    return script


def _without_half_close(script: Script) -> Script:
    steps = tuple(step for step in script.steps if step.action != "half-close")
    return Script(steps, min(script.early, len(steps)))


def outcome(flat: list[Any], *, last_only: bool = False) -> Any:
    """What each peer (or the last one only) was told, how its connection ended, and which hooks raised."""
    whats = flat[::2]
    if "peer.over" in [what[0] for what in whats]:
        return _told_datagrams(flat, last_only=last_only)
    ended = [(what[1], what[2], flat[2 * at + 1]) for at, what in enumerate(whats) if what[0] == "peer.end"]
    # Peers at the same time end in any order.
    ends = [(how, reply) for _, how, reply in sorted(ended)]
    if last_only:
        return ends[-1:]
    return ends, [what[0] for what in whats if what[0] in _RAISED]


def _replied(told: Any) -> bool:
    """Whether anybody was told anything in this `outcome`: silence that equals silence shows nothing."""
    ends = told[0] if isinstance(told, tuple) else told
    return any(end if isinstance(end, bytes) else end[-1] for end in ends)


_SETTLED: Final = {CONCURRENT: "relation/concurrent-isolation", COMPLETENESS: "liveness/answers-complete-message"}
"""The rows of those relations that are called otherwise."""


def _told_datagrams(flat: list[Any], *, last_only: bool) -> Any:
    """The same where each request is a datagram: what each peer received, in order."""
    whats = flat[::2]
    received: dict[int, list[bytes]] = {what[2]: [] for what in whats if what[0] == "peer.over"}
    for at, what in enumerate(whats):
        if what[0] == "peer.reply":
            received.setdefault(what[2], []).append(flat[2 * at + 1])
    told = sorted(received.items())
    return told[-1][1] if last_only else (told, [what[0] for what in whats if what[0] in _RAISED])
