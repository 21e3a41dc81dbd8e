"""The command line as its tests use it: in this process (its worker is another one), in a folder of its own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from handshaker.harness.campaign.conduct import Campaign
from handshaker.harness.cli import main
from handshaker.harness.notices import CampaignFinished, FindingReady, Notice
from handshaker.harness.settings import Settings

ECHO = """
import socketserver

class Echo(socketserver.StreamRequestHandler):
    timeout = 5

    def handle(self):
        try:
            for line in iter(lambda: self.rfile.readline(1000), b""):
                self.answer(line)
        except OSError:
            pass

    def answer(self, line):
        self.wfile.write(line)

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass
"""


def handler(*body: str, before: str = "", after: str = "") -> str:
    """A module whose handler, `Subject`, is a good echo but for the lines of its `answer`."""
    lines = "\n".join(f"        {line}" for line in body)
    return f"{ECHO}\n{before}\nclass Subject(Echo):\n    def answer(self, line):\n{lines}\n{after}\n"


BOOM = handler('if line.startswith(b"BOOM"):', '    raise ValueError("boom")', "self.wfile.write(line)")


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str


def handshaker(folder: Path, *arguments: str) -> Answer:
    """Run `handshaker *arguments` in *folder*; a traceback of any kind fails the test that called."""
    out, err = io.StringIO(), io.StringIO()
    before = Path.cwd()
    os.chdir(folder)
    try:
        with (
            mock.patch.object(sys, "argv", ["handshaker", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as error:
                code = int(error.code or 0)
    finally:
        os.chdir(before)
    return Answer(code, out.getvalue(), err.getvalue())


class Conducted:
    """A campaign that was run to its end, with all that it told."""

    def __init__(self, folder: Path, target: str, **declared: object) -> None:
        self.notices: list[Notice] = []
        defaults = {"seed": 1, "max_examples": 10, "save": False, "root": str(folder)}
        settings = Settings(target=target, **(defaults | declared))
        self.code = Campaign(settings, self.notices.append).run()

    def all(self, kind: type) -> list:
        """The Notices of one kind."""
        return [notice for notice in self.notices if isinstance(notice, kind)]

    @property
    def finished(self) -> CampaignFinished:
        """The last Notice."""
        last = self.notices[-1]
        assert isinstance(last, CampaignFinished)
        return last

    def ready(self, slug: str) -> FindingReady:
        """The one finding about *slug*."""
        found = [notice for notice in self.all(FindingReady) if notice.finding.invariant == slug]
        assert len(found) == 1, [notice.finding.invariant for notice in self.all(FindingReady)]
        return found[0]

    @property
    def slugs(self) -> list[str]:
        """The invariants of all findings, sorted."""
        return sorted(notice.finding.invariant for notice in self.all(FindingReady))
