"""What is written down of a server's own methods, by servers that really live in a house."""

from __future__ import annotations

import errno
import linecache
import os
import socket
import socketserver
import threading
from dataclasses import replace

import pytest

from handshaker.harness.case import Act, Case, Fault, Script, Step
from handshaker.harness.judge import Judge, primary
from handshaker.harness.runner import Stage
from handshaker.strategies.owner import SCENARIOS
from handshaker.targets import owner_probes
from handshaker.targets.detect import MIXIN_METHODS, SERVER_METHODS
from handshaker.targets.exhibits.common import Lines
from handshaker.targets.stdlib import StdlibTarget

HELLO = Script((Step("send", b"hello\n"), Step("half-close")))
DATAGRAM = Script((Step("send", b"hello"),))
# They wait for the bound of an act, which takes seconds; each is played once.
BLOCKING = {"shut down before serving": "plain", "closed while a handler is at work": "threading"}


class Upper(socketserver.DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.rfile.read().upper())


class Stops(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        self.server.shutdown()


class StopsBeside(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        thread = threading.Thread(target=self.server.shutdown)
        thread.start()


class Closes(socketserver.StreamRequestHandler):
    def handle(self):
        self.rfile.readline()
        self.server.server_close()


def acts(*words):
    """Acts from words such as `play 1`; handle_request() waits a tenth of a second."""
    split = (word.partition(" ") for word in words)
    return tuple(Act(action, int(peer or 0), 0.1 if action == "handle" else 0.0) for action, _, peer in split)


def stage(handler, concurrency="plain", transport="tcp", network="loopback", **chosen):
    target = StdlibTarget(handler, concurrency=concurrency, transport=transport, **chosen)
    return Stage(target, network=network)


def play(handler, *words, scripts=(HELLO, HELLO), faults=(), concurrency="plain", transport="tcp", **chosen):
    case = Case(scripts, faults, transport, concurrency, acts(*words))
    with stage(handler, concurrency, transport, **chosen) as prepared:
        return prepared.play(case)


def told(trace, *prefixes):
    """The kinds that begin with one of *prefixes*, in order."""
    return [event.kind for event in trace if event.kind.startswith(prefixes)]


def violated(trace, concurrency="plain", kind="stream"):
    """What is violated, as if the server had overridden everything that a server can override."""
    contract = StdlibTarget(Lines).contract()
    methods = (*SERVER_METHODS, *MIXIN_METHODS)
    judge = Judge(replace(contract, overrides=methods, concurrency=concurrency, kind=kind))
    found = {each.verdict.invariant for each in primary(judge.verdicts(trace))}
    assert judge.bugs == {}
    return found


# what CPython does


@pytest.mark.parametrize(
    ("handler", "transport", "concurrency"),
    [
        pytest.param(Lines, "tcp", "plain", id="TCPServer"),
        pytest.param(Lines, "tcp", "threading", id="ThreadingTCPServer"),
        pytest.param(Lines, "tcp", "forking", id="ForkingTCPServer"),
        pytest.param(Upper, "udp", "plain", id="UDPServer"),
    ],
)
def test_no_scenario_holds_cpython_against_anybody(handler, transport, concurrency):
    """Whatever its owner does with a server of the standard library, and whatever fails, nothing is flagged."""
    peer, kind = (DATAGRAM, "datagram") if transport == "udp" else (HELLO, "stream")
    with stage(handler, concurrency, transport) as prepared:
        for scenario in SCENARIOS:
            if concurrency in scenario.concurrencies and BLOCKING.get(scenario.name, concurrency) == concurrency:
                trace = prepared.play(scenario.case(peer, transport, concurrency))
                assert violated(trace, concurrency, kind) == set(), scenario.name


# what is written down


def test_a_whole_life():
    """The server's own methods are told from the constructor to the close, around the one request."""
    trace = play(Lines, "serve", "play 0", "shutdown", "close")
    own = ("constructor.", "server_bind.", "server_activate.", "serve_forever.enter", "get_request.leave", "shutdown.")
    assert told(trace, *own, "server_close.") == [
        "constructor.enter", "server_bind.enter", "server_bind.leave", "server_activate.enter",
        "server_activate.leave", "constructor.leave", "serve_forever.enter", "get_request.leave", "shutdown.enter",
        "shutdown.leave", "server_close.enter", "server_close.leave",
    ]  # fmt: skip
    assert [(event["moment"], event["open"]) for event in trace.of("server.listener")] == [
        ("constructed", True),
        ("closed", False),
    ]
    assert [event["free"] for event in trace.of("server.address-free")] == [True]
    assert len(trace.of("serve_forever.leave")) == 1


@pytest.mark.parametrize("point", ["server_bind", "server_activate"])
def test_a_constructor_that_cannot_bind(point):
    """It closes its socket and raises, and the Case ends there: nothing is done with a server that there is not."""
    trace = play(Lines, "serve", "play 0", faults=(Fault(point, "OSError"),))
    assert told(trace, f"{point}.", "server_close.", "constructor.") == [
        "constructor.enter", f"{point}.enter", f"{point}.raise", "server_close.enter", "server_close.leave",
        "constructor.raise",
    ]  # fmt: skip
    (probe,) = trace.of("server.listener")
    assert (probe["moment"], probe["open"]) == ("failed", False)
    assert told(trace, "owner.", "peer.") == []


def test_handle_request_says_how_long_it_may_wait():
    """The server's timeout is told, and that nobody came."""
    trace = play(Lines, "handle", "close")
    (entered,) = trace.of("handle_request.enter")
    assert entered["timeout"] == 0.1
    assert told(trace, "handle_") == [
        "handle_request.enter",
        "handle_timeout.enter",
        "handle_timeout.leave",
        "handle_request.leave",
    ]


def test_a_process_without_descriptors_cannot_accept():
    """The hardship is the kernel's own EMFILE, for one accept; the peer is served at the next turn."""
    trace = play(Lines, "serve", "play 0", "shutdown", faults=(Fault("get_request", "exhausted"),))
    (failed,) = trace.of("get_request.raise")
    assert f"[Errno {errno.EMFILE}]" in failed["message"]
    assert not failed["injected"]
    assert trace.replies == (b"HELLO\n",)


def test_in_memory_the_same_hardship_is_pretended():
    """There is no descriptor to run out of, and the handler cannot tell."""
    case = Case((HELLO,), (Fault("get_request", "exhausted"),))
    with stage(Lines, network="memory") as prepared:
        trace = prepared.play(case)
    (failed,) = trace.of("get_request.raise")
    assert (failed["injected"], f"[Errno {errno.EMFILE}]" in failed["message"]) == (True, True)
    assert trace.replies == (b"HELLO\n",)


def test_failing_accepts_are_not_told_for_ever():
    """A loop whose socket was closed tries thousands of times; a few of these are told, and nobody is blamed."""
    trace = play(Lines, "serve", "play 0", "close", "shutdown")
    assert len(trace.of("get_request.raise")) <= 20
    assert violated(trace) == set()


def test_a_loop_that_spins_tells_how_often_it_turned():
    """Turns without a request are counted; more than any wait allows are told, and flagged."""

    class Spins(socketserver.TCPServer):
        def serve_forever(self, poll_interval=0.5):
            while True:
                self.fileno()
                self.service_actions()

    trace = play(Lines, "serve", "handle", "handle", "handle", server=Spins)  # which gives it time
    (turned,) = trace.of("server.turned")
    assert turned["turns"] > turned["allowed"]
    assert len(trace.of("service_actions.enter")) == 1
    assert "liveness/no-spin" in violated(trace)


def test_a_loop_that_waits_tells_no_turns():
    """Waiting for nobody takes few turns, of which the first is told."""
    trace = play(Lines, "serve", "handle", "shutdown")
    assert told(trace, "server.turned") == []
    assert len(trace.of("service_actions.enter")) <= 2


def test_service_actions_are_told_after_each_request():
    """Every turn that took a request has its service_actions() in the Trace."""
    trace = play(Lines, "serve", "play 0", "play 1", "shutdown")
    steps = told(trace, "get_request.leave", "service_actions.enter")
    assert "get_request.leave get_request.leave" not in " ".join(steps)
    assert steps.count("get_request.leave") == 2


def test_an_injected_error_of_service_actions_ends_the_loop():
    """It is raised where service_actions() is called, and leaves serve_forever()."""
    trace = play(Lines, "serve", "begin 0", faults=(Fault("service_actions", "ValueError"),))
    assert told(trace, "service_actions.raise", "serve_forever.raise") == [
        "service_actions.raise",
        "serve_forever.raise",
    ]
    (raised,) = (event for event in trace.of("owner.raise"))
    assert (raised["act"], raised["injected"]) == ("serve", True)


def test_the_context_manager_is_looked_at():
    """Entering tells what it gave; leaving closes the server, which is looked at once more."""
    trace = play(Lines, "enter", "exit")
    assert [event["itself"] for event in trace.of("server.entered")] == [True]
    assert [event["moment"] for event in trace.of("server.fileno")] == ["closed", "exited"]


# what a handler does to its server


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_handler_that_waits_for_its_own_loop_is_stopped(network):
    """A plain server's handler calls shutdown(): that is written down, and nobody has to wait for a watchdog."""
    with stage(Stops, network=network) as prepared:
        trace = prepared.play(Case((HELLO,)))
    (called,) = trace.of("shutdown.enter")
    place, _, number = called["place"].rpartition(":")
    line = linecache.getline(place, int(number)).strip()
    assert (called["caller"], line) == ("serving", "self.server.shutdown()")
    assert [(event["operation"], event["after"]) for event in trace.of("network.stalled")] == [("shutdown", "itself")]
    assert violated(trace) == {"server/shutdown-returns"}


@pytest.mark.parametrize(
    ("concurrency", "caller", "flagged"),
    [
        ("plain", "serving", {"server/shutdown-returns"}),
        ("threading", "other", set()),
        ("forking", "child", {"server/shutdown-returns"}),
    ],
)
def test_who_calls_shutdown_decides(concurrency, caller, flagged):
    """In a thread of its own a handler may end the loop; in a child there is no loop that could end."""
    trace = play(Stops, "serve", "play 0", concurrency=concurrency)
    assert [event["caller"] for event in trace.of("shutdown.enter")] == [caller]
    assert [bool(event["place"]) for event in trace.of("shutdown.enter")] == [caller != "other"]
    assert violated(trace, concurrency) == flagged


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_thread_of_a_handler_may_end_the_loop(network):
    """shutdown() from a thread beside the serving one returns, also where peers are served turn by turn."""
    with stage(StopsBeside, network=network) as prepared:
        trace = prepared.play(Case((HELLO,)))
    assert told(trace, "shutdown.", "network.", "probe.threads") == []
    assert violated(trace) == set()


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_a_handler_that_closes_its_server_is_seen(network):
    """server_close() by a handler is told with its connection; by the owner, at the end, it is not."""
    with stage(Closes, network=network) as prepared:
        trace = prepared.play(Case((HELLO,)))
        plain = prepared.play(Case())
    assert [event.connection for event in trace.of("server_close.enter")] == [0]
    assert violated(trace) == {"server/listener-open-while-serving"}
    assert told(plain, "server_close.") == []


def test_a_child_may_close_its_copy():
    """In a forked child server_close() closes nothing but the child's own copy of the listening socket."""
    trace = play(Closes, "serve", "play 0", "play 1", "shutdown", "close", concurrency="forking")
    assert violated(trace, "forking") == set()


# the probes


def listener():
    made = socket.create_server(("127.0.0.1", 0))
    return made, made.getsockname()


def test_a_copy_of_the_listening_socket_is_found():
    """Whoever still listens at the address in this process is found, by whatever descriptor."""
    made, address = listener()
    copy = made.dup()
    made.close()
    assert owner_probes.still_bound(address, socket.AF_INET, socket.SOCK_STREAM)
    copy.close()
    assert not owner_probes.still_bound(address, socket.AF_INET, socket.SOCK_STREAM)


def test_a_connection_is_no_listener():
    """An accepted connection has the server's address, and takes no requests."""
    made, address = listener()
    with socket.create_connection(address), made.accept()[0]:
        made.close()
        assert not owner_probes.still_bound(address, socket.AF_INET, socket.SOCK_STREAM)


def test_without_descriptors_nothing_can_be_opened():
    """Until they are allowed again."""
    limits = owner_probes.forbid_descriptors()
    try:
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)
    finally:
        owner_probes.allow_descriptors(limits)
    os.close(os.open(os.devnull, os.O_RDONLY))


def test_a_server_says_whether_it_is_open():
    """fileno() says so, unless somebody has broken it."""
    with socketserver.TCPServer(("127.0.0.1", 0), Lines) as server:
        assert (owner_probes.is_open(server), owner_probes.said_by_fileno(server)) == (True, "open")
    assert (owner_probes.is_open(server), owner_probes.said_by_fileno(server)) == (False, "closed")
    assert owner_probes.said_by_fileno(object()) == "raises"
