"""A campaign against handlers of datagrams: what is wrong is found and told by its smallest datagrams, and no more."""

from __future__ import annotations

import pytest

from handshaker.harness.campaign.findings import reach_of
from handshaker.harness.campaign.reduce import measure, reduce_case
from handshaker.harness.campaign.situations import known, situations
from handshaker.harness.case import Case, Fault, Script, Step
from handshaker.harness.notices import Question, Remark
from handshaker.harness.verdict import Reach
from tests.harness.command_line import Conducted, handshaker

HANDLERS = '''
from socketserver import BaseRequestHandler, DatagramRequestHandler, UDPServer, UnixDatagramServer


class Good(DatagramRequestHandler):
    """Answers in capitals; what may have been cut is refused."""

    def handle(self):
        packet = self.rfile.read()
        self.wfile.write(b"too long" if len(packet) >= 8192 else packet.upper())


class Splits(Good):
    """Takes the first word, which an empty datagram lacks."""

    def handle(self):
        self.wfile.write(self.packet.split()[0][:10])


class Closes(BaseRequestHandler):
    """Closes what it was given."""

    def handle(self):
        data, sock = self.request
        sock.sendto(data[:10], self.client_address)
        sock.close()


class Remembers(BaseRequestHandler):
    """Answers the first peer for ever."""

    def handle(self):
        data, sock = self.request
        self.server.last = getattr(self.server, "last", self.client_address)
        sock.sendto(data[:10], self.server.last)


class Decodes(Good):
    """Writes a part of its reply before it looks at the rest."""

    def handle(self):
        self.wfile.write(b"OK ")
        self.wfile.write(self.packet[:10].decode().encode())


class TooMuch(Good):
    """Multiplies what it gets."""

    def handle(self):
        if len(self.packet) < 8192:
            self.wfile.write(self.packet * 10)


class Relay(BaseRequestHandler):
    """Passes every datagram on to whoever spoke before, and answers nobody."""

    def handle(self):
        data, sock = self.request
        before, self.server.last = getattr(self.server, "last", None), self.client_address
        if before not in (None, self.client_address):
            sock.sendto(data[:10], before)


class Local(UnixDatagramServer):
    """Looks at the first letter of an address that may be None."""

    def __init__(self, address):
        super().__init__(address, Good)

    def verify_request(self, request, client_address):
        return client_address[0] != "x"
'''
EMPTY = Step("send")
SERVER = {"server": "socketserver:UDPServer"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("datagrams")
    (made / "subject.py").write_text(HANDLERS)
    return made


def of(*scripts: Script, transport: str = "udp") -> Case:
    return Case(scripts, transport=transport)


ONE_EMPTY = of(Script((EMPTY,)))
FOUND = {
    "Splits": ("handler/no-uncaught-exception", ONE_EMPTY),
    "Closes": ("datagram/shared-socket-stays-open", ONE_EMPTY),
    "Remembers": ("datagram/reply-to-sender", of(Script((EMPTY,)), Script((EMPTY,)))),
    "Decodes": ("handler/no-uncaught-exception", None),
    "TooMuch": ("lifecycle/finish-does-not-raise", of(Script((Step("send", b"a", 6_551),)))),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_defect_is_one_finding_and_its_case_is_minimal(folder, name):
    """An empty datagram, two peers with one each, or exactly as many bytes as it takes."""
    slug, smallest = FOUND[name]
    run = Conducted(folder, f"subject.py:{name}", stateless=name == "Remembers", **SERVER)
    ready = run.ready(slug)
    assert set(run.slugs) - {"relation/isolation", "relation/repeatability"} == {slug}
    assert run.code == 1
    if smallest is None:
        (script,) = ready.finding.case.scripts
        assert [len(step.payload) for step in script.steps] == [1]
    else:
        assert ready.finding.case == smallest
    assert ready.finding.reach is Reach.PEER
    assert [each.seen for each in ready.finding.confirmations if each.network == "loopback"] == [3]


@pytest.mark.parametrize("transport", ["udp", "udp6", "unix-dgram"])
def test_a_good_handler_is_left_alone(folder, transport):
    """Also where a peer has no address, has left, or never reads: what CPython does then is not its fault."""
    server = {"server": "socketserver:UnixDatagramServer"} if transport == "unix-dgram" else SERVER
    run = Conducted(folder, "subject.py:Good", transport=transport, max_examples=60, **server)
    assert (run.code, run.slugs) == (0, [])
    happened = dict(run.finished.situations)
    assert set(happened) == set(known(transport))
    assert all(happened.values()), happened


def test_a_deaf_peer_is_a_remark_about_the_server(folder):
    """On Unix sockets a reply waits for room; that is told once, and held against nobody."""
    run = Conducted(folder, "subject.py:Good", transport="unix-dgram", server="socketserver:UnixDatagramServer")
    (told,) = [remark.text for remark in run.all(Remark) if remark.topic == "idle-peer"]
    assert "never reads its replies" in told


def test_an_address_that_is_none_breaks_the_server_that_looks_into_it(folder):
    """The smallest case is one datagram of a peer without an address."""
    ready = Conducted(folder, "subject.py:Local").ready("server/verify-request-does-not-raise")
    assert ready.finding.case == of(Script((EMPTY,), form="unbound"), transport="unix-dgram")


def test_who_passes_messages_on_is_not_blamed_for_it(folder):
    """A relay never answers its sender; whether its replies may depend on others is a question."""
    run = Conducted(folder, "subject.py:Relay", max_examples=60, **SERVER)
    assert run.slugs == []
    assert all(question.topic.startswith("relation/") for question in run.all(Question))


@pytest.mark.parametrize("network", ["memory", "loopback"])
def test_play_sends_datagrams_and_tells_them(folder, network):
    """One line for each datagram on its way there, and one for each that came back."""
    typed = ("--send", "hello", "--peer", "--send", "")
    said = handshaker(folder, "play", "subject.py:Good", *typed, "--server", SERVER["server"], "--network", network)
    assert said.code == 0, said.err
    assert "datagram peer 0 sent b'hello'" in said.out
    assert "datagram peer 1 sent b''" in said.out
    assert "reply peer 0 b'HELLO'" in said.out
    assert "segment" not in said.out


def test_play_without_steps_sends_one_empty_datagram(folder):
    """A peer that only comes and goes would be nobody here."""
    said = handshaker(folder, "play", "subject.py:Splits", "--server", SERVER["server"])
    assert said.code == 1
    assert "sends one empty datagram" in said.out


@pytest.mark.parametrize("step", ["--half-close", "--reset"])
def test_play_refuses_what_only_a_connection_has(folder, step):
    """Nothing that was asked for is left out in silence."""
    said = handshaker(folder, "play", "subject.py:Good", "--send", "a", step, "--server", SERVER["server"])
    assert said.code == 2
    assert step in said.err
    assert "--close" in said.err


# what is simpler, and who can do it


def needs(steps: int, payload: bytes = b"", form: str = "") -> object:
    """Whether some peer of this form has sent so many datagrams, with the bytes in one of them."""

    def violates(case: Case) -> bool:
        return any(
            sum(step.action == "send" for step in script.steps) >= steps
            and any(payload in step.payload for step in script.steps)
            and script.form == form
            for script in case.scripts
        )

    return violates


MUCH = (Step("pause", seconds=2.0), Step("send", b"hello"), Step("send", b"x", 9_000), Step("close"))
LARGE = of(Script(MUCH, 2, "abstract"), Script((Step("send", b"you"),)), transport="unix-dgram")


@pytest.mark.parametrize(
    ("violates", "smallest"),
    [
        (needs(1, form="abstract"), Script((EMPTY,), form="abstract")),
        (needs(1), Script((EMPTY,))),
        (needs(2, form="abstract"), Script((EMPTY, EMPTY), form="abstract")),
        (needs(1, b"el", form="abstract"), Script((Step("send", b"el"),), form="abstract")),
    ],
)
def test_any_case_of_datagrams_is_reduced_to_its_minimum(violates, smallest):
    """Empty datagrams, the usual address, no waiting, and nobody who has no part in it."""
    found, _ = reduce_case(LARGE, violates)
    assert found == of(smallest, transport="unix-dgram")


def test_an_open_peer_of_datagrams_is_as_simple_as_it_gets():
    """It has no direction to end; the usual address is simpler than an unusual one."""
    unbound = of(Script((EMPTY,), form="unbound"), transport="unix-dgram")
    plain = of(Script((EMPTY,)), transport="unix-dgram")
    assert measure(plain) < measure(unbound)
    assert measure(plain) < measure(of(Script((EMPTY, Step("close"))), transport="unix-dgram"))


@pytest.mark.parametrize(
    ("script", "faults", "reach"),
    [
        (Script((EMPTY, Step("pause", seconds=1.0), EMPTY)), (), Reach.PEER),
        (Script((EMPTY,), form="unbound"), (), Reach.PEER),
        (Script((EMPTY, Step("close"))), (), Reach.TIMING),
        (Script((Step("stop-reading"), EMPTY)), (), Reach.TIMING),
        (Script((EMPTY,), early=1), (), Reach.TIMING),
        (Script((EMPTY,)), (Fault("deliver", "twice"),), Reach.TIMING),
        (Script((EMPTY,)), (Fault("deliver", "twice"), Fault("send", "OSError")), Reach.INJECTED),
    ],
)
def test_who_can_do_it_with_datagrams(script, faults, reach):
    """Who pauses only lets others come first; what a network does to a datagram is no fault of ours."""
    case = Case((script,), faults, "unix-dgram")
    assert reach_of(case, Reach.PEER) is reach


def test_situations_of_datagrams_are_told_in_their_own_words():
    """Sizes, addresses, and what became of a datagram on its way."""
    told = situations(Case((Script((EMPTY, Step("send", b"\0", 9_000)), form="unbound"),), (), "unix-dgram"))
    assert told == {
        "one peer", "several datagrams", "empty datagram", "datagram cut by the server", "NUL bytes", "unbound peer",
    }  # fmt: skip
    assert "datagram late" in situations(Case((Script((EMPTY,)),), (Fault("deliver", "late"),), "udp"))
    assert not {"several segments", "reset", "unbound peer"} & set(known("udp"))
