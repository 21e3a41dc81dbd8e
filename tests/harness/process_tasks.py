"""Loaders and tasks that the process tests run in a worker; each misbehaves in one way, or does one thing well."""

from __future__ import annotations

import faulthandler
import importlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from handshaker.harness.errors import TargetError, UsageError
from handshaker.harness.places import Place
from handshaker.harness.processes.context import Context
from handshaker.harness.processes.limits import Limits

Json = dict[str, Any]


# loaders


def nothing(arguments: Json) -> Json:
    return arguments


def module(arguments: Json) -> Any:
    return importlib.import_module(arguments["name"])


def refuse_usage(arguments: Json) -> None:
    raise UsageError("no such handler")


def refuse_target(arguments: Json) -> None:
    raise TargetError("it needs a factory")


# tasks that end well


def count(context: Context, arguments: Json) -> Iterator[Json]:
    for index in range(arguments["cases"]):
        context.mark(2, index)
        yield {"index": index}


def send_two(context: Context, arguments: Json) -> None:
    context.send({"index": 1})
    context.send({"index": 2})


def large(context: Context, arguments: Json) -> Iterator[Json]:
    yield {"text": "x" * arguments["size"]}


def surroundings(context: Context, arguments: Json) -> Iterator[Json]:
    yield {
        "target": context.target,
        "cwd": os.getcwd(),
        "files": os.listdir("."),
        "seed": os.environ["PYTHONHASHSEED"],
        "stdin": sys.stdin.read(),
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "pid": os.getpid(),
        "argv": sys.argv[1:],
    }


def litter(context: Context, arguments: Json) -> None:
    with open("left-behind", "w", encoding="ascii") as file:
        file.write("x")


def talk(context: Context, arguments: Json) -> None:
    print("to stdout")
    print("to stderr", file=sys.stderr)


def busy_with_marks(context: Context, arguments: Json) -> None:
    for index in range(arguments["cases"]):
        context.mark(1, index)
        sum(range(20_000))


def until_stopped(context: Context, arguments: Json) -> Iterator[Json]:
    yield {"started": True}
    index = 0
    while not context.stop_requested():
        index += 1
        context.mark(1, index)
    yield {"last words": True}


def flood(context: Context, arguments: Json) -> Iterator[Json]:
    sent = 0
    while not context.stop_requested():
        sent += 1
        yield {"text": "x" * 1000}
    yield {"sent": sent}


# tasks that end badly


def raise_value_error(context: Context, arguments: Json) -> None:
    raise ValueError("a bug of ours")


def raise_target_error(context: Context, arguments: Json) -> None:
    raise TargetError("it cannot be hosted")


def call_sys_exit(context: Context, arguments: Json) -> None:
    sys.exit(3)


def exit_quietly(context: Context, arguments: Json) -> Iterator[Json]:
    yield {"before": True}
    context.mark(3, 7)
    os._exit(0)


def kill_itself(context: Context, arguments: Json) -> None:
    context.mark(1, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def kill_itself_in_a_place(context: Context, arguments: Json) -> None:
    context.send({"folder": Place("unix").folder})
    os.kill(os.getpid(), signal.SIGKILL)


def kill_worker(context: Context, arguments: Json) -> None:
    context.mark(1, 5)
    os.kill(os.getppid(), signal.SIGKILL)
    threading.Event().wait()


def crash(context: Context, arguments: Json) -> None:
    context.mark(1, 2)
    faulthandler._sigsegv()  # type: ignore[attr-defined]


def close_everything(context: Context, arguments: Json) -> Iterator[Json]:
    context.mark(1, 9)
    os.closerange(3, 256)
    yield {"never": "heard"}


def spin(context: Context, arguments: Json) -> None:
    context.mark(4, 2)
    while True:
        pass


def wait_for_ever(context: Context, arguments: Json) -> Iterator[Json]:
    context.mark(4, 3)
    yield {"waiting": os.getpid(), "worker": os.getppid(), "folder": os.getcwd()}
    threading.Event().wait()


# processes of the handler's own


def leave_program_behind(context: Context, arguments: Json) -> Iterator[Json]:
    program = subprocess.Popen(["sleep", "600"], start_new_session=arguments["escapes"])
    yield {"pid": program.pid}


def fork_and_come_back(context: Context, arguments: Json) -> Iterator[Json]:
    context.mark(1, 1)
    pid = os.fork()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) if pid else None
    context.mark(1, 2)
    yield {"status": status}


# forked calls


class _State:
    calls = 0


def _count_call(amount: int) -> Json:
    _State.calls += amount
    return {"calls": _State.calls}


def _spin() -> None:
    while True:
        pass


def _wait() -> None:
    threading.Event().wait()


def _fail() -> None:
    raise ValueError("no luck")


def _big() -> str:
    return "y" * 2_000_000


def _leave_program_behind() -> int:
    return subprocess.Popen(["sleep", "600"]).pid


def _outcome(context: Context, function: Any, *args: Any, limits: Limits | None = None) -> Json:
    outcome = context.fork(function, *args, limits=limits)
    return {
        "status": outcome.status,
        "value": outcome.value,
        "reason": outcome.reason,
        "exit": outcome.exit_status,
        "signal": outcome.signal,
        "stack": outcome.stack,
        "error": outcome.error.message if outcome.error else "",
    }


def fork_calls(context: Context, arguments: Json) -> Iterator[Json]:
    yield _outcome(context, _count_call, 1)
    yield _outcome(context, _count_call, 2)


def fork_deaths(context: Context, arguments: Json) -> Iterator[Json]:
    yield _outcome(context, os._exit, 0)
    yield _outcome(context, os.kill, 0, signal.SIGKILL)
    yield _outcome(context, faulthandler._sigsegv)  # type: ignore[attr-defined]


def fork_hangs(context: Context, arguments: Json) -> Iterator[Json]:
    yield _outcome(context, _spin, limits=Limits(cpu_seconds=0.2))
    yield _outcome(context, _wait, limits=Limits(silent_seconds=0.2))
    yield _outcome(context, _wait, limits=Limits(total_seconds=0.2))


def fork_odd_ends(context: Context, arguments: Json) -> Iterator[Json]:
    yield _outcome(context, _fail)
    yield _outcome(context, object)
    yield _outcome(context, context.send, {"not": "allowed"})
    yield {"size": len(_outcome(context, _big)["value"])}


def fork_leftovers(context: Context, arguments: Json) -> Iterator[Json]:
    pid = _outcome(context, _leave_program_behind)["value"]
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield {"gone": True}
    else:
        yield {"gone": select.select([handle], [], [], 20)[0] == [handle]}
