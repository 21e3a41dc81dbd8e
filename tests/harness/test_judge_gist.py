"""The judge's memory is sound: what it takes for the same is judged the same."""

from __future__ import annotations

import random
import socketserver

import pytest

from handshaker.harness.campaign.workbench import Workbench
from handshaker.harness.judge import _gist
from handshaker.harness.settings import Settings
from handshaker.harness.trace import materialise
from handshaker.strategies.cases import FastDriver, Plan, swarm
from handshaker.strategies.faults import ALL_FAULTS
from handshaker.targets.stdlib import StdlibTarget

CASES = 250


class Lines(socketserver.StreamRequestHandler):
    """Many reads and writes, and an error now and then."""

    timeout = 5
    wbufsize = -1

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.decode().upper().encode())


class Pieces(socketserver.BaseRequestHandler):
    """Mixes short reads with partial sends."""

    def handle(self):
        self.request.settimeout(3)
        while piece := self.request.recv(3):
            self.request.send(piece * 2)


class Mixed(socketserver.StreamRequestHandler):
    """Reads through rfile and then through the socket."""

    def handle(self):
        self.rfile.readline()
        while piece := self.request.recv(2):
            self.wfile.write(piece)


@pytest.mark.parametrize("handler", [Lines, Pieces, Mixed])
def test_runs_with_one_gist_have_one_verdict(handler):
    """Over generated traffic with faults, each invariant has one outcome for all runs of a gist, in full judging."""
    outcomes = {}
    repeated = 0
    with Workbench(StdlibTarget(handler), Settings(target="t"), "memory") as bench:
        for batch in range(3):
            source = random.Random(batch)
            driver = FastDriver(swarm(Plan(faults=ALL_FAULTS, example=b"abc\n"), source), source, ())
            for _ in range(CASES):
                flat = bench.run(driver.next()).flat
                trace = materialise(list(flat), None, bench.stage.header)
                said = [(verdict.invariant, verdict.outcome) for verdict in bench.judge.verdicts(trace)]
                gist = _gist(flat[::2])
                repeated += gist in outcomes
                assert outcomes.setdefault(gist, said) == said
    assert repeated > CASES // 4
