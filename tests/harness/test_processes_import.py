"""A target that cannot be loaded gives one clear error in the supervisor, of the right type, within the time limit."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from handshaker.harness.errors import HarnessBug, TargetError, UsageError
from handshaker.harness.processes.supervisor import Supervisor

HERE = str(Path(__file__).parent)

SERVES = """\
import socketserver
server = socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler)
server.serve_forever()
"""


def ignore(message: dict[str, object]) -> None:
    pass


def load(folder: Path, source: str, **options: object) -> Supervisor:
    (folder / "subject.py").write_text(source)
    return Supervisor.start(
        "process_tasks:module",
        {"name": "subject"},
        path=(HERE, str(folder)),
        preload=("process_tasks",),
        **options,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = 1\ny = 1 / 0\n", r"ZeroDivisionError: division by zero, at .*subject\.py:2 in <module>: `y = 1 / 0`"),
        ("def f():\n    import json; json.loads('?')\nf()\n", r"JSONDecodeError: .*subject\.py:2 in f: `import json"),
        ("import no_such_module\n", r"ModuleNotFoundError: .*no_such_module.*subject\.py:1"),
        ("def f(:\n", r"SyntaxError: invalid syntax, at .*subject\.py:1"),
        ("class Odd(Exception):\n    __str__ = None\nraise Odd\n", r"Odd: \(its str\(\) raises TypeError\), at .*py:3"),
        ("import sys\nsys.exit(4)\n", r"sys\.exit\(4\), at .*subject\.py:2.*__name__ == '__main__'"),
        ("import os\nos._exit(3)\n", r"the process exited with status 3.*__name__ == '__main__'"),
        ("import os, sys\nprint('bye', file=sys.stderr)\nos.abort()\n", r"killed by SIGABRT \(it last wrote: 'bye'\)"),
    ],
)
def test_an_import_that_fails_names_what_and_where(tmp_path: Path, source: str, said: str) -> None:
    """An import that raises or ends its process is a TargetError with the reason and the user's own innermost line."""
    with pytest.raises(TargetError, match=said):
        load(tmp_path, source)


def test_a_server_started_at_import_is_named(tmp_path: Path) -> None:
    """An unguarded serve_forever() is named as such, with the user's line."""
    with pytest.raises(TargetError, match=r"serve_forever\(\) never returned, at .*subject\.py:3.*__main__"):
        load(tmp_path, SERVES, import_limit_seconds=0.5)


def test_an_import_that_never_returns_is_stopped(tmp_path: Path) -> None:
    """An import that loops is stopped at the limit; the message names the limit and the user's line."""
    with pytest.raises(TargetError, match=r"did not return within 0\.3 s, at .*subject\.py:1 in <module>"):
        load(tmp_path, "while True: pass\n", import_limit_seconds=0.3)


def test_the_caller_may_explain_a_hang(tmp_path: Path) -> None:
    """explain_hang gets the stacks and gives the message."""
    with pytest.raises(TargetError, match=r"^stuck in <module>$"):
        load(
            tmp_path,
            "while True:\n    pass\n",
            import_limit_seconds=0.3,
            explain_hang=lambda stack: "stuck in <module>" if "in <module>" in stack else stack,
        )


@pytest.mark.parametrize(
    ("loader", "error", "said"),
    [
        ("refuse_usage", UsageError, "^no such handler$"),
        ("refuse_target", TargetError, "^it needs a factory$"),
        ("missing", HarnessBug, "'process_tasks:missing' names no function"),
    ],
)
def test_our_own_errors_pass_as_they_are(loader: str, error: type[Exception], said: str) -> None:
    """A loader's own UsageError or TargetError arrives with its type and its words."""
    with pytest.raises(error, match=said):
        Supervisor.start(f"process_tasks:{loader}", {}, path=(HERE,))


def test_a_worker_that_cannot_start_is_our_bug() -> None:
    """A module of ours that the worker cannot import is a HarnessBug that shows the worker's last words."""
    with pytest.raises(HarnessBug, match=r"(?s)at its start:.*No module named 'no_such_module'"):
        Supervisor.start("process_tasks:nothing", {}, path=(HERE,), preload=("no_such_module",))


def test_threads_that_the_import_started_are_counted_and_cause_no_warning(tmp_path: Path) -> None:
    """A target that starts a thread at its import can be run; the thread is counted, and nothing is warned of."""
    source = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    with load(tmp_path, source) as supervisor:
        result = supervisor.run("process_tasks:send_two", {}, on_message=ignore)
        assert (supervisor.threads, result.status, result.stderr) == (1, "done", "")


@pytest.mark.parametrize("action", ["signal.SIG_IGN", "lambda *_: os.waitpid(-1, 0)"])
def test_a_target_that_reaps_children_does_not_hide_how_a_task_ended(tmp_path: Path, action: str) -> None:
    """A target that ignores SIGCHLD, or reaps whatever ends, changes nothing in what the supervisor learns."""
    source = f"import os, signal\nsignal.signal(signal.SIGCHLD, {action})\n"
    messages: list[dict[str, object]] = []
    with load(tmp_path, source) as supervisor:
        for _ in range(2):
            assert supervisor.run("process_tasks:kill_itself", {}, on_message=messages.append).signal == "SIGKILL"
        assert supervisor.run("process_tasks:fork_deaths", {}, on_message=messages.append).status == "done"
    assert messages[1]["signal"] == "SIGKILL"


def test_a_supervisor_may_be_started_in_a_thread_that_ends() -> None:
    """The worker outlives the thread that started it."""
    started: list[Supervisor] = []
    thread = threading.Thread(
        target=lambda: started.append(Supervisor.start("process_tasks:nothing", {}, path=(HERE,)))
    )
    thread.start()
    thread.join()
    with started[0] as supervisor:
        assert supervisor.run("process_tasks:send_two", {}, on_message=ignore).status == "done"
