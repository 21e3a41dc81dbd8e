"""Everything that a person can say about a campaign, as plain data: what is tested, how long, what counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from handshaker.harness.errors import UsageError, did_you_mean
from handshaker.harness.transports import CONCURRENCIES, TRANSPORTS
from handshaker.harness.verdict import Level

__all__ = ["FAIL_ON", "NETWORKS", "PHASES", "PLAYING", "Settings"]

PHASES: Final = ("preflight", "regressions", "sweep", "generate", "shrink", "confirm")
PLAYING: Final = PHASES[:4]
NETWORKS: Final = ("auto", "memory", "loopback")
FAIL_ON: Final = ("must", "should", "never")


@dataclass(frozen=True, slots=True)
class Settings:
    """One campaign. Times are in seconds; None means no limit.

    `loader` names where the target comes from when it is not the text `target` itself: a pytest module and the name of
    the test in it. `transport`, `concurrency` and `implementation` are `""` where they are to be detected;
    `concurrency` may be `all`. `messages` names a Hypothesis strategy of bytes. `example` is one plain exchange the
    handler knows.
    """

    target: str
    server: str = ""
    factory: str = ""
    root: str = "."
    loader: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    max_examples: int = 1_000
    max_time_s: float | None = None
    max_failures: int = 10
    phases: tuple[str, ...] = PHASES
    network: str = "auto"
    transport: str = ""
    concurrency: str = ""
    implementation: str = ""
    invariants: tuple[str, ...] = ("*",)
    exclude_invariants: tuple[str, ...] = ()
    allowed_exceptions: tuple[str, ...] = ()
    stateless: bool = False
    example: bytes = b""
    messages: str = ""
    reset: str = ""
    cwd: str = ""
    import_limit_s: float = 10.0
    case_limit_s: float = 1.0
    fail_on: str = "must"
    save: bool = True
    replay: str = ""

    def __post_init__(self) -> None:
        for value, allowed, option in (
            (self.network, NETWORKS, "network"),
            (self.fail_on, FAIL_ON, "fail-on"),
            (self.transport, ("", *TRANSPORTS), "transport"),
            (self.concurrency, ("", *CONCURRENCIES, "all"), "concurrency"),
            *((phase, PHASES, "phases") for phase in self.phases),
        ):
            if value not in allowed:
                names = ", ".join(filter(None, allowed))
                raise UsageError(f"{option}: {value!r} is not one of {names}; {did_you_mean(value, allowed)}")
        if self.max_examples < 0 or self.max_failures < 1:
            raise UsageError("max-examples must be 0 or more, and max-failures 1 or more")
        for seconds, option in (
            (self.max_time_s, "max-time"),
            (self.import_limit_s, "import-limit"),
            (self.case_limit_s, "case-limit"),
        ):
            if seconds is not None and not seconds > 0:
                raise UsageError(f"{option}: {seconds:g} s is no time at all; write a duration such as 500ms or 10s")
        if not set(self.phases).intersection(PLAYING if self.max_examples else PLAYING[:-1]):
            raise UsageError(
                f"nothing is selected to run: phases {', '.join(self.phases)} with {self.max_examples} examples; name "
                "preflight, regressions, sweep, or generate with --max-examples of 1 or more"
            )
        if self.network == "memory" and self.concurrency not in ("", "plain"):
            raise UsageError(
                f"network memory has one thread, and concurrency {self.concurrency} needs more: leave one of them away"
            )
        if self.server and self.factory:
            raise UsageError(
                "server and factory exclude each other: a factory already chooses the server; give one of them"
            )

    def fails(self, level: Level) -> bool:
        """Whether a finding of *level* makes the run fail."""
        return self.fail_on == "should" or (self.fail_on == "must" and level is Level.MUST)

    def declarations(self) -> dict[str, Any]:
        """What a saved finding must remember so that it can be played again."""
        names = (
            "server", "factory", "transport", "concurrency", "implementation", "loader", "allowed_exceptions",
            "stateless", "example", "messages", "cwd", "reset",
        )  # fmt: skip
        kept = {name: getattr(self, name) for name in names}
        kept["network"] = self.network.removeprefix("auto")
        return {name: value for name, value in kept.items() if value}
