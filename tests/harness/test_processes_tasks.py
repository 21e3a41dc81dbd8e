"""The supervisor says truly how a task ended, delivers what was sent, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from handshaker.harness.errors import HarnessBug, TargetError, UsageError
from handshaker.harness.processes.limits import Limits
from handshaker.harness.processes.progress import ESCAPED
from handshaker.harness.processes.results import TaskResult
from handshaker.harness.processes.stacks import stack_frames
from handshaker.harness.processes.supervisor import Supervisor

Messages = list[dict[str, Any]]
HERE = str(Path(__file__).parent)
PATIENT = Limits(cpu_seconds=30, silent_seconds=30)


def start(**options: Any) -> Supervisor:
    return Supervisor.start(
        "process_tasks:nothing", {"the": "target"}, path=(HERE,), preload=("process_tasks",), **options
    )


@pytest.fixture(scope="module")
def supervisor() -> Iterator[Supervisor]:
    with start() as supervisor:
        yield supervisor


Play = Callable[..., tuple[TaskResult, Messages]]


@pytest.fixture
def play(supervisor: Supervisor) -> Play:
    def play(task: str, limits: Limits = PATIENT, **arguments: Any) -> tuple[TaskResult, Messages]:
        messages: Messages = []
        result = supervisor.run(f"process_tasks:{task}", arguments, on_message=messages.append, limits=limits)
        return result, messages

    return play


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_messages_arrive_in_order_and_the_result_counts_them(play: Play) -> None:
    """A task that returns is done; all its messages arrive in order, and its last mark is known."""
    result, messages = play("count", cases=20_000)
    assert (result.status, result.ended, result.exit_status) == ("done", True, 0)
    assert [message["index"] for message in messages] == list(range(20_000))
    assert (result.in_flight, result.marks, result.messages) == ((2, 19_999), 20_000, 20_000)


def test_a_task_may_send_instead_of_yield(play: Play) -> None:
    """What a task sends through its context arrives like what it yields."""
    result, messages = play("send_two")
    assert (result.status, messages) == ("done", [{"index": 1}, {"index": 2}])


def test_a_large_message_arrives_whole(play: Play) -> None:
    """A message of several MB is one message."""
    result, messages = play("large", size=3_000_000)
    assert (result.status, len(messages[0]["text"])) == ("done", 3_000_000)


def test_a_task_starts_in_known_surroundings(play: Play) -> None:
    """A task has an empty folder of its own, no input, the target, and Python's own Ctrl-C handling."""
    (_, [first]), (_, [second]) = play("surroundings"), play("surroundings")
    assert first["target"] == {"the": "target"}
    assert (first["files"], first["stdin"], first["seed"], first["argv"]) == ([], "", "0", [])
    assert first["sigint"]
    assert first["cwd"] != second["cwd"]
    assert first["pid"] != second["pid"]
    assert not Path(first["cwd"]).exists()


def test_nothing_marked_nothing_in_flight(play: Play) -> None:
    """Before the first mark no case is in flight, also when an earlier task had one."""
    play("count", cases=3)
    result, _ = play("surroundings")
    assert (result.in_flight, result.marks) == (None, 0)


def test_output_is_captured_by_task(play: Play) -> None:
    """What a task prints is in its own result and in no later one."""
    result, _ = play("talk")
    assert (result.stdout, result.stderr) == ("to stdout\n", "to stderr\n")
    assert play("surroundings")[0].stderr == ""


def test_a_quiet_exit_is_a_death(play: Play) -> None:
    """os._exit(0) in a case is a death with the case in flight, although the status is 0."""
    result, messages = play("exit_quietly")
    assert (result.status, result.exit_status, result.ending) == ("died", 0, "exited with status 0")
    assert (result.in_flight, messages) == ((3, 7), [{"before": True}])


def test_a_killed_task_names_the_signal(play: Play) -> None:
    """A task that is killed has died, and the signal is named."""
    result, _ = play("kill_itself")
    assert (result.status, result.signal, result.ending) == ("died", "SIGKILL", "was killed by SIGKILL")


def test_the_socket_files_of_a_killed_task_are_removed(play: Play) -> None:
    """Its folder is gone when the task is over; nobody waits for another process that might sweep it away."""
    _, messages = play("kill_itself_in_a_place")
    assert not Path(messages[0]["folder"]).parent.exists()


def test_a_crash_comes_with_its_stack(play: Play) -> None:
    """A segmentation fault is a death whose stack names the function that crashed."""
    result, _ = play("crash")
    assert (result.status, result.signal, result.in_flight) == ("died", "SIGSEGV", (1, 2))
    assert stack_frames(result.stack)[0].function == "crash"


def test_a_task_that_takes_the_worker_down_has_died_and_the_next_one_runs(play: Play) -> None:
    """A killed worker is the death of the task in flight; another worker takes its place."""
    result, _ = play("kill_worker")
    assert (result.status, result.in_flight) == ("died", (1, 5))
    assert play("send_two")[0].status == "done"


def test_a_task_that_closes_every_descriptor_has_died(play: Play) -> None:
    """A handler that closes our channel cannot make its case look well."""
    result, messages = play("close_everything")
    assert (result.status, result.in_flight, messages) == ("died", (1, 9), [])


def test_a_spinning_task_is_hung_by_its_own_processor_time(play: Play) -> None:
    """A loop that never ends is hung; the innermost frame is the loop's function and line."""
    result, _ = play("spin", Limits(cpu_seconds=0.2, silent_seconds=60))
    assert (result.status, result.reason, result.in_flight) == ("hung", "cpu", (4, 2))
    innermost = stack_frames(result.stack)[0]
    assert (Path(innermost.file).name, innermost.function) == ("process_tasks.py", "spin")


def test_a_waiting_task_is_hung_by_silence(play: Play) -> None:
    """A task that waits for ever uses no processor time and is still found."""
    result, messages = play("wait_for_ever", Limits(cpu_seconds=60, silent_seconds=0.3))
    assert (result.status, result.reason, result.in_flight) == ("hung", "silent", (4, 3))
    assert "wait_for_ever" in [frame.function for frame in stack_frames(result.stack)]
    assert is_gone(messages[0]["waiting"])


def test_marks_are_signs_of_life(play: Play) -> None:
    """A task that works long but marks its cases is not hung."""
    result, _ = play("busy_with_marks", Limits(cpu_seconds=0.15, silent_seconds=60), cases=2_000)
    assert result.status == "done"


@pytest.mark.parametrize(("task", "kind"), [("raise_value_error", "ValueError"), ("call_sys_exit", "SystemExit")])
def test_an_exception_of_the_task_is_our_bug(play: Play, task: str, kind: str) -> None:
    """A task that raises has failed; raising it again blames handshaker and shows the traceback."""
    result, _ = play(task)
    assert (result.status, result.error and result.error.kind) == ("failed", kind)
    with pytest.raises(HarnessBug, match=rf"(?s){kind}.*process_tasks\.py"):
        result.raise_if_failed()


def test_an_error_about_the_target_keeps_its_type(play: Play) -> None:
    """A TargetError that a task raises can be raised again as a TargetError with the same words."""
    result, _ = play("raise_target_error")
    with pytest.raises(TargetError, match=r"^it cannot be hosted$"):
        result.raise_if_failed()


def test_ctrl_c_lets_the_task_send_its_last_words(supervisor: Supervisor) -> None:
    """After Ctrl-C the task returns, its messages arrive, and the status is interrupted."""
    messages: Messages = []

    def on_message(message: dict[str, Any]) -> None:
        messages.append(message)
        if "started" in message:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    result = supervisor.run("process_tasks:until_stopped", {}, on_message=on_message, limits=PATIENT)
    assert (result.status, result.reason, result.ended) == ("interrupted", "asked", True)
    assert messages[-1] == {"last words": True}
    assert signal.getsignal(signal.SIGINT) is before


def test_a_late_ctrl_c_is_not_lost(supervisor: Supervisor) -> None:
    """Ctrl-C while the last message is handled, when nothing is left to stop, still says interrupted."""

    def on_message(message: dict[str, Any]) -> None:
        if message["index"] == 2:
            signal.raise_signal(signal.SIGINT)

    result = supervisor.run("process_tasks:send_two", {}, on_message=on_message)
    assert (result.status, result.ended, result.messages) == ("interrupted", True, 2)


def test_a_flood_of_messages_does_not_keep_the_supervisor_from_stopping_it(supervisor: Supervisor) -> None:
    """A task that sends without pause is heard while it sends, and all that it sent before it stopped arrives."""
    messages: Messages = []

    def on_message(message: dict[str, Any]) -> None:
        messages.append(message)
        if len(messages) == 500:
            supervisor.stop()

    result = supervisor.run("process_tasks:flood", {}, on_message=on_message, limits=Limits(grace_seconds=60))
    assert (result.status, result.ended) == ("interrupted", True)
    assert messages[-1] == {"sent": len(messages) - 1}


@pytest.mark.parametrize(("times", "grace"), [(1, 0.2), (2, 600)])
def test_a_task_that_does_not_heed_ctrl_c_is_killed(supervisor: Supervisor, times: int, grace: float) -> None:
    """One Ctrl-C kills a deaf task after the grace time, a second one at once."""

    def on_message(message: dict[str, Any]) -> None:
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)

    limits = Limits(silent_seconds=600, grace_seconds=grace)
    result = supervisor.run("process_tasks:wait_for_ever", {}, on_message=on_message, limits=limits)
    assert (result.status, result.reason, result.ended) == ("interrupted", "asked", False)


def test_stop_may_be_asked_by_the_listener(supervisor: Supervisor) -> None:
    """stop() asks as Ctrl-C does, and asking often is no more than asking once."""

    def on_message(message: dict[str, Any]) -> None:
        supervisor.stop()
        supervisor.stop()

    result = supervisor.run("process_tasks:until_stopped", {}, on_message=on_message, limits=PATIENT)
    assert (result.status, result.ended) == ("interrupted", True)


def test_the_total_time_ends_a_task_politely(play: Play) -> None:
    """A task whose time is up is asked to stop."""
    result, messages = play("until_stopped", Limits(total_seconds=0.2, grace_seconds=60))
    assert (result.status, result.reason, result.ended) == ("interrupted", "total", True)
    assert messages[-1] == {"last words": True}


def test_a_listener_that_raises_ends_the_task(supervisor: Supervisor) -> None:
    """What on_message raises comes out of run, after the task is dead; the next task runs."""
    pids: list[int] = []

    def on_message(message: dict[str, Any]) -> None:
        pids.append(message["waiting"])
        raise LookupError("a reporter broke")

    with pytest.raises(LookupError, match="a reporter broke"):
        supervisor.run("process_tasks:wait_for_ever", {}, on_message=on_message, limits=PATIENT)
    assert is_gone(pids[0])
    assert supervisor.run("process_tasks:send_two", {}, on_message=pids.append).status == "done"  # type: ignore[arg-type]


def test_one_task_at_a_time(supervisor: Supervisor) -> None:
    """Running a task from within a listener is refused."""

    def on_message(message: dict[str, Any]) -> None:
        supervisor.run("process_tasks:send_two", {}, on_message=on_message)

    with pytest.raises(HarnessBug, match="one task at a time"):
        supervisor.run("process_tasks:send_two", {}, on_message=on_message)


@pytest.mark.parametrize("escapes", [False, True])
def test_programs_that_a_handler_started_end_with_the_task(play: Play, escapes: bool) -> None:
    """A program left running is gone when run() returns, even when it has a session of its own."""
    result, messages = play("leave_program_behind", escapes=escapes)
    assert result.status == "done"
    assert is_gone(messages[0]["pid"])


def test_a_forked_copy_that_comes_back_is_not_heard(play: Play) -> None:
    """A copy of the task that a handler forked and that returns into our loop ends there, unheard."""
    result, messages = play("fork_and_come_back")
    assert (result.status, result.marks) == ("done", 2)
    assert messages == [{"status": ESCAPED}]


def test_tasks_run_where_they_are_told(tmp_path: Path) -> None:
    """With cwd= every task runs in that folder, which is kept."""
    messages: Messages = []
    with start(cwd=str(tmp_path)) as supervisor:
        supervisor.run("process_tasks:litter", {}, on_message=messages.append)
        supervisor.run("process_tasks:surroundings", {}, on_message=messages.append)
    assert (messages[0]["cwd"], messages[0]["files"]) == (str(tmp_path), ["left-behind"])


def test_a_folder_that_does_not_exist_is_refused() -> None:
    """A working directory that is no folder is the user's mistake, and is quoted."""
    with pytest.raises(UsageError, match=r"'/no/such/folder' is not a folder"):
        start(cwd="/no/such/folder")


def test_closing_leaves_no_process_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After close(), which may be called twice, worker and scratch folders are gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    messages: Messages = []
    supervisor = start()
    supervisor.run("process_tasks:litter", {}, on_message=messages.append)
    supervisor.run("process_tasks:wait_for_ever", {}, on_message=messages.append, limits=Limits(silent_seconds=0.1))
    assert list(tmp_path.iterdir()) != []
    supervisor.close()
    supervisor.close()
    assert is_gone(messages[0]["worker"])
    assert list(tmp_path.iterdir()) == []


_DOOMED = """
import os, sys
from handshaker.harness.processes.supervisor import Supervisor
with Supervisor.start("process_tasks:nothing", {}, path=(sys.argv[1],)) as supervisor:
    def on_message(message):
        print(message["worker"], message["waiting"], os.path.dirname(message["folder"]), flush=True)
    supervisor.run("process_tasks:wait_for_ever", {}, on_message=on_message)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waiting for another's process needs a pidfd (Linux)")
def test_a_killed_supervisor_takes_everything_with_it() -> None:
    """When the supervisor is killed, worker and task end and the scratch folder is removed."""
    with subprocess.Popen([sys.executable, "-c", _DOOMED, HERE], stdout=subprocess.PIPE, text=True) as doomed:
        assert doomed.stdout is not None
        worker, task, folder = doomed.stdout.readline().split()
        handles = [os.pidfd_open(int(pid)) for pid in (worker, task)]
        doomed.kill()
    for handle in handles:
        assert select.select([handle], [], [], 20)[0] == [handle]
        os.close(handle)
    assert not Path(folder).exists()
