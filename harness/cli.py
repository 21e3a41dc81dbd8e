"""The command line: `handshaker run | play | replay | explain | list`.

Exit codes: 0 everything held, 1 a finding, 2 nothing could be tested (bad input, a target that cannot be hosted), 130
interrupted. Errors are one clear message, never a traceback; a bug of handshaker itself shows its traceback and asks
for it.
"""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Callable
from typing import Any

import click

from handshaker import __version__
from handshaker.harness.campaign.combinations import Combinations
from handshaker.harness.campaign.once import Steps, play_once, replay_finding
from handshaker.harness.catalogue import LISTS, explain_row
from handshaker.harness.config import read_config
from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.options import duration, escaped_bytes, plain_target
from handshaker.harness.settings import FAIL_ON, NETWORKS, PHASES, Settings
from handshaker.harness.transports import CONCURRENCIES, FORMS, TRANSPORTS
from handshaker.reports.base import open_reports

__all__ = ["cli", "explain", "list_", "main", "play", "replay", "run"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

_CONFIGURABLE: dict[str, type] = {
    "server": str, "factory": str, "seed": int, "max_examples": int, "max_time": str, "max_failures": int,
    "phases": tuple, "network": str, "invariants": tuple, "exclude_invariants": tuple, "allow_exception": tuple,
    "stateless": bool, "example": str, "messages": str, "reset": str, "cwd": str, "import_limit": str,
    "case_limit": str, "fail_on": str, "transport": tuple, "concurrency": str, "implementation": str,
}  # fmt: skip


def _hosting(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what is hosted and how."""
    for option in reversed((
        click.option("--server", default="", help="Server class to host the handler under, as module:Class."),
        click.option("--factory", default="", help="Callable that returns a server, as module:callable."),
        click.option("--implementation", default="",
                     help="Module that offers the names of socketserver, when the handler is built on another one."),
        click.option("--network", type=click.Choice(NETWORKS), default="auto", show_default=True,
                     help="auto: memory, and loopback when the handler needs a kernel object."),
        click.option("--cwd", default="", help="Working folder of the handler. Default: a fresh empty one."),
        click.option("--import-limit", default="10s", show_default=True, help="How long the import may take."),
        click.option("--case-limit", default="1s", show_default=True,
                     help="CPU time one case may burn without progress before it counts as hung."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group(context_settings=_CONTEXT)
@click.version_option(__version__, prog_name="handshaker")
def cli() -> None:
    """Point handshaker at a network request handler; it finds the smallest traffic that breaks it."""


@cli.command()
@click.argument("target")
@_hosting
@click.option(
    "--transport",
    multiple=True,
    type=click.Choice([*TRANSPORTS, "all"]),
    help="Serve over this transport (repeat). Default: what the handler or its server is written for.",
)
@click.option(
    "--concurrency",
    default=None,
    type=click.Choice([*CONCURRENCIES, "all"]),
    help="How the server shares its time. Default: plain; and if the server is written with threads "
    "or forks, then a sample as it is written, of 15 seconds at most.",
)
@click.option("--seed", type=int, default=0, help="Seed of the generated traffic. Default: a new one, printed.")
@click.option("--max-examples", type=int, default=1_000, show_default=True, help="Generated base cases.")
@click.option(
    "--max-time",
    default="",
    help="Upper bound, such as 30s or 10m; findings that wait to be shrunk get a quarter more. "
    "Default: none; the budget is in cases.",
)
@click.option(
    "--max-failures", type=int, default=10, show_default=True, help="Stop after this many different findings."
)
@click.option("--phases", default=",".join(PHASES), show_default=True, help="Which phases to run, separated by commas.")
@click.option("--invariants", multiple=True, help="Judge only these (globs; repeat). Default: all.")
@click.option("--exclude-invariants", multiple=True, help="Leave these out (globs; repeat).")
@click.option("--allow-exception", multiple=True, help="An exception the handler raises on purpose, as module:Class.")
@click.option("--stateless", is_flag=True, help="The reply to a peer depends on nothing but its own bytes.")
@click.option("--example", default="", help=r"One plain exchange, with escapes: 'GET / HTTP/1.0\r\n\r\n'.")
@click.option("--messages", default="", help="Hypothesis strategy of bytes, as module:attribute.")
@click.option("--reset", default="", help="Callable that clears state between cases, as module:callable.")
@click.option(
    "--fail-on", type=click.Choice(FAIL_ON), default="must", show_default=True, help="What makes the exit code 1."
)
@click.option("--no-save", is_flag=True, help="Do not write findings to .handshaker/.")
@click.option("--report", multiple=True, help="NAME[=PATH]; repeat. Default: terminal.")
@click.option("--report-dir", default="", help="Folder for reports that are given without a path.")
@click.pass_context
def run(context: click.Context, /, target: str, **options: Any) -> None:
    """Test TARGET (module:attr, path.py or path.py:attr): sweep, generate, shrink, confirm."""
    options = _with_config(context, options)
    settings = _settings(target, options)
    reporter = open_reports(options["report"] or ("terminal",), folder=options["report_dir"])
    try:
        code = Combinations(settings, tuple(options["transport"]), reporter.on).run()
    finally:
        reporter.close()
    context.exit(code)


def _with_config(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Options given on the command line win over the project's configuration, which wins over the defaults."""
    configured = read_config(".", _CONFIGURABLE)
    default = click.core.ParameterSource.DEFAULT
    merged = dict(options)
    for name, value in configured.items():
        if context.get_parameter_source(name) is default:
            merged[name] = ",".join(value) if name == "phases" else value
    return merged


def _settings(target: str, options: dict[str, Any]) -> Settings:
    return Settings(
        target=plain_target(target),
        server=options["server"],
        factory=options["factory"],
        implementation=options["implementation"],
        concurrency=options["concurrency"] or "",
        seed=options["seed"],
        max_examples=options["max_examples"],
        max_time_s=duration(options["max_time"], "--max-time") if options["max_time"] else None,
        max_failures=options["max_failures"],
        phases=tuple(phase.strip() for phase in options["phases"].split(",")),
        network=options["network"],
        invariants=tuple(options["invariants"]) or ("*",),
        exclude_invariants=tuple(options["exclude_invariants"]),
        allowed_exceptions=tuple(map(_exception_name, options["allow_exception"])),
        stateless=options["stateless"],
        example=escaped_bytes(options["example"], "--example"),
        messages=options["messages"],
        reset=options["reset"],
        cwd=options["cwd"],
        import_limit_s=duration(options["import_limit"], "--import-limit"),
        case_limit_s=duration(options["case_limit"], "--case-limit"),
        fail_on=options["fail_on"],
        save=not options["no_save"],
    )


def _exception_name(text: str) -> str:
    """The dotted name of an exception; a bare one is built in."""
    return text.replace(":", ".") if ":" in text or "." in text else f"builtins.{text}"


class _OrderedSteps(click.Command):
    """A command whose step options keep the order in which they were typed."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse twice: once for click, once for the order."""
        values, _, order = self.make_parser(ctx).parse_args(args=list(args))
        lists = {name: list(value) for name, value in values.items() if isinstance(value, list)}
        ctx.obj = [
            (param.name, lists[param.name].pop(0) if param.name in lists else True)
            for param in order
            if param.name in Steps.OPTIONS
        ]
        return super().parse_args(ctx, args)


@cli.command(cls=_OrderedSteps)
@click.argument("target")
@_hosting
@click.option(
    "--send", multiple=True, help=r"Send one segment, or one datagram, with escapes: 'GET / HTTP/1.0\r\n\r\n'."
)
@click.option("--pause", multiple=True, help="Stay silent for so long, such as 30s (virtual time).")
@click.option("--expect", multiple=True, type=int, help="Wait until so many bytes of reply have arrived.")
@click.option("--half-close", count=True, help="End the sending direction.")
@click.option("--close", count=True, help="Close both directions.")
@click.option("--reset", count=True, help="Abort the connection.")
@click.option("--stop-reading", count=True, help="Stop taking reply bytes.")
@click.option("--resume-reading", count=True, help="Take reply bytes again.")
@click.option("--peer", count=True, help="The following steps belong to the next peer.")
@click.option("--accepted", count=True, help="The steps of this peer up to here are played before it is accepted.")
@click.option(
    "--address",
    multiple=True,
    type=click.Choice(list(filter(None, FORMS))),
    help="This peer has no address, or an abstract one (Unix datagrams).",
)
@click.option("--fault", "faults", multiple=True, help="Inject POINT=EFFECT[@NTH]; see `handshaker list faults`.")
@click.option(
    "--act", "acts", multiple=True, help="What the server's owner does, in order; see `handshaker list acts`."
)
@click.option("--transport", default=None, type=click.Choice(list(TRANSPORTS)), help="Serve over this transport.")
@click.option(
    "--concurrency",
    default="plain",
    type=click.Choice(list(CONCURRENCIES)),
    show_default=True,
    help="How the server shares its time; with threads or processes all peers come at once.",
)
@click.pass_context
def play(
    context: click.Context, /, target: str, faults: tuple[str, ...], acts: tuple[str, ...], **options: Any
) -> None:
    """Play one Case by hand and print its Trace as a timeline; what it violates is shown, and makes the exit code 1."""
    case = Steps(context.obj, faults, acts).case()
    settings = Settings(
        target=plain_target(target), server=options["server"], factory=options["factory"], network=options["network"],
        implementation=options["implementation"], transport=options["transport"] or "",
        concurrency=options["concurrency"],
        cwd=options["cwd"], import_limit_s=duration(options["import_limit"], "--import-limit"),
        case_limit_s=duration(options["case_limit"], "--case-limit"),
    )  # fmt: skip
    again = shlex.join(["handshaker", *sys.argv[1:]])
    context.exit(play_once(settings, case, click.echo, again=again))


@cli.command()
@click.argument("finding")
@click.pass_context
def replay(context: click.Context, finding: str) -> None:
    """Play a saved FINDING (id or file) again: still failing (exit 1), fixed (0), or not replayable (2)."""
    context.exit(replay_finding(finding, click.echo))


@cli.command()
@click.argument("invariant")
def explain(invariant: str) -> None:
    """Explain an INVARIANT: what it requires, where that is written, who can break it, and how."""
    click.echo(explain_row(invariant))


@cli.command(name="list")
@click.argument("what", type=click.Choice(tuple(LISTS)))
def list_(what: str) -> None:
    """List invariants, targets, reports, faults, transports or acts."""
    for line in LISTS[what]():
        click.echo(line)


def main() -> None:
    """The entry point: every expected error becomes one message and exit code 2."""
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        code = 130
    except (UsageError, TargetError) as error:
        kind = "error" if isinstance(error, UsageError) else "cannot test"
        click.echo(f"handshaker: {kind}: {error}", err=True)
        code = 2
    except Exception:
        # Not 1: that would say that the handler is at fault.
        click.echo("handshaker: this is a bug in handshaker, not in your handler; please report what follows", err=True)
        traceback.print_exc()
        code = 2
    sys.exit(code)
