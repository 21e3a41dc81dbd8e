"""One target under several servers: simplest first, nothing told twice, and a matrix of what was judged where."""

from __future__ import annotations

import pytest

from handshaker.harness.campaign.combinations import Combinations
from handshaker.harness.errors import TargetError
from handshaker.harness.notices import CampaignFinished, CampaignStarted, FindingReady, Matrix, Notice
from handshaker.harness.settings import Settings
from tests.harness.command_line import BOOM, ECHO, handshaker

LATE = ("unix plain", "tcp6 plain")
THREADING = ECHO + "class Server(socketserver.ThreadingTCPServer):\n    daemon_threads = True\n"
TURNS = """
import socketserver, threading

class Turns(socketserver.StreamRequestHandler):
    timeout = 5
    inside = threading.Lock()

    def handle(self):
        if not self.inside.acquire(blocking=False):
            raise RuntimeError("one at a time, please")
        try:
            self.wfile.write(self.rfile.readline(100))
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self.inside.release()
"""


class Ran:
    """A run over combinations, with all that it told."""

    def __init__(self, folder, target: str, *transports: str, **declared: object) -> None:
        self.notices: list[Notice] = []
        defaults = {"seed": 1, "max_examples": 10, "save": False, "root": str(folder), "phases": ("sweep", "confirm")}
        settings = Settings(target=target, **(defaults | declared))
        self.code = Combinations(settings, transports, self.notices.append).run()

    def of(self, kind: type) -> list:
        """The Notices of one kind."""
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def played(self) -> list[tuple[str, str]]:
        """The combinations that were played, in order."""
        return [(notice.transport, notice.concurrency) for notice in self.of(CampaignStarted)]

    @property
    def matrix(self) -> Matrix:
        """The last Notice."""
        last = self.notices[-1]
        assert isinstance(last, Matrix)
        return last


def test_a_plain_handler_is_one_campaign_without_a_matrix(write):
    """Who has one combination sees nothing of combinations."""
    ran = Ran(write(ECHO), "subject.py:Echo")
    assert ran.played == [("tcp", "plain")]
    assert ran.of(Matrix) == []
    assert isinstance(ran.notices[-1], CampaignFinished)


def test_a_threading_server_is_played_plain_and_then_as_it_is_written(write):
    """The search happens on the plain equivalent; a sample of it with the server's own threads."""
    ran = Ran(write(THREADING), "subject.py:Echo", server="subject:Server", phases=("preflight",))
    assert ran.played == [("tcp", "plain"), ("tcp", "threading")]
    assert ran.matrix.columns == ("tcp plain", "tcp threading")
    assert ran.code == 0


def test_what_the_simplest_combination_shows_is_told_once(write):
    """A finding names the simplest combination that shows it, and the matrix still marks the others."""
    ran = Ran(write(BOOM), "subject.py:Subject", "tcp", "unix", example=b"BOOM\n")
    assert ran.played == [("tcp", "plain"), ("unix", "plain")]
    told = [ready.finding for ready in ran.of(FindingReady) if ready.finding.invariant.startswith("handler/no-")]
    assert [finding.case.transport for finding in told] == ["tcp"]
    row = dict(ran.matrix.rows)["handler"]
    assert all("violated" in cell for cell in row)
    assert ran.code == ran.matrix.exit_code == 1


def test_what_needs_two_peers_at_once_names_the_threading_server(write):
    """A handler that is right as long as peers come one by one is found wrong where they come together."""
    declared = {"server": "socketserver:ThreadingTCPServer", "invariants": ("handler/*",), "max_failures": 1}
    ran = Ran(write(TURNS), "subject.py:Turns", **declared)
    assert ran.played[:2] == [("tcp", "plain"), ("tcp", "threading")]
    told = [
        ready.finding for ready in ran.of(FindingReady) if ready.finding.invariant == "handler/no-uncaught-exception"
    ]
    assert [finding.case.concurrency for finding in told] == ["threading"]


def test_a_combination_that_cannot_be_had_is_skipped_with_its_reason(write):
    """Among several, one that the handler cannot speak is no error, and is not taken for tested."""
    ran = Ran(write(ECHO), "subject.py:Echo", "tcp", "udp", phases=("preflight",))
    assert ran.matrix.columns == ("tcp plain",)
    [(name, reason)] = ran.matrix.skipped
    assert name == "udp plain"
    assert "stream handler" in reason
    assert ran.code == 0


def test_what_a_plain_server_shows_on_another_transport_needs_no_threads(write):
    """Plain is simpler than threading, whatever the transport: all plain servers come first, and are told of first."""
    ran = Ran(write(ECHO), "subject.py:Echo", "tcp", "unix", concurrency="all", phases=("preflight",))
    servers = ("plain", "threading", "forking")
    assert ran.played == [(transport, server) for server in servers for transport in ("tcp", "unix")]


def test_no_combination_that_was_asked_for_is_left_out_in_silence(write):
    """Where a transport cannot be had, each of its servers is named with the reason."""
    ran = Ran(write(ECHO), "subject.py:Echo", "tcp", "udp", concurrency="all", phases=("preflight",))
    assert ran.matrix.columns == ("tcp plain", "tcp threading", "tcp forking")
    assert [name for name, reason in ran.matrix.skipped if "stream handler" in reason] == [
        "udp plain", "udp threading", "udp forking",
    ]  # fmt: skip


def test_the_only_combination_must_be_had(write):
    """What alone was asked for and cannot be had is an error."""
    with pytest.raises(TargetError, match="stream handler"):
        Ran(write(ECHO), "subject.py:Echo", "udp")


def test_all_transports_are_those_of_the_handlers_kind(write):
    """`--transport all` begins with the handler's own transport, and goes on with the others that it can speak."""
    ran = Ran(write(ECHO), "subject.py:Echo", "all", phases=("preflight",))
    assert [transport for transport, _ in ran.played] == ["tcp", "tcp6", "unix"]


def test_a_finding_under_threads_is_replayed_under_threads(write):
    """What is saved remembers how it was hosted, and so does the command that is shown."""
    folder = write(BOOM)
    answer = handshaker(
        folder, "run", "subject.py:Subject", "--concurrency", "threading", "--seed", "1", "--max-examples", "0",
        "--example", r"BOOM\n",
    )  # fmt: skip
    assert "--concurrency threading" in answer.out
    [saved] = (folder / ".handshaker" / "findings").glob("*.json")
    again = handshaker(folder, "replay", saved.stem)
    assert (again.code, "still failing" in again.out) == (1, True)


def test_a_combination_whose_turn_comes_too_late_is_skipped_with_its_reason(write):
    """`max_time` bounds all combinations together: none begins when it is over, and each that does not is named."""
    ran = Ran(write(ECHO), "subject.py:Echo", "tcp", "unix", "tcp6", max_time_s=0.001, phases=("preflight",))
    assert ran.played == [("tcp", "plain")]
    assert ran.matrix.skipped == tuple((name, "--max-time was over before its turn came") for name in LATE)
    assert ran.code == 0
