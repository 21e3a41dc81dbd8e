"""Every bad input gets one clear message on standard error and exit code 2: no traceback, no report, nothing lost."""

from __future__ import annotations

import pytest

from tests.harness.command_line import BOOM, ECHO, handler, handshaker

MODULES = {
    "echo.py": ECHO,
    "several.py": BOOM,
    "serves.py": ECHO + 'socketserver.TCPServer(("127.0.0.1", 0), Echo).serve_forever()\n',
    "waits.py": "import time\ntime.sleep(1000)\n",
    "broken.py": "def x(:\n",
    "needs.py": "import no_such_package\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "other.py": "class Plain: pass\nnumber = 3\n",
    "constructor.py": handler(
        "pass", after="    def __init__(self, *a):\n        raise RuntimeError('no configuration')\n"
    ),
    "argument.py": handler(
        "pass", after="    def __init__(self, request, client_address, server, root):\n        pass\n"
    ),
    "attribute.py": handler("self.wfile.write(self.server.greeting)"),
    "server.py": ECHO + "class Server(socketserver.TCPServer):\n"
    "    def __init__(self, *a):\n        raise RuntimeError('no configuration')\n",
    "words.py": "from hypothesis import strategies as st\nnumbers = st.integers()\ntext = 'x'\n"
    "def fails():\n    raise ValueError('no words')\n",
    "paths.py": ECHO + "import os\nclass Long(socketserver.UnixStreamServer):\n"
    "    def __init__(self, address, handler):\n        super().__init__('/tmp/' + 'x' * 120, handler)\n"
    "class Taken(socketserver.UnixStreamServer):\n"
    "    def __init__(self, address, handler):\n        super().__init__(os.devnull, handler)\n",
    "serving.py": ECHO + "import threading\ndef server():\n"
    "    made = socketserver.ThreadingTCPServer(('127.0.0.1', 0), Echo)\n"
    "    threading.Thread(target=made.serve_forever, daemon=True).start()\n    return made\n",
    "kinds.py": "import socketserver\nclass Base(socketserver.BaseRequestHandler):\n"
    "    def handle(self): self.answer()\n"
    "class Grams(Base):\n    def answer(self): self.request[1].sendto(self.request[0], self.client_address)\n"
    "class Stream(Base):\n    def answer(self): self.request.sendall(self.request.recv(9))\n"
    "class UDPServer(socketserver.UDPServer): pass\nclass TCPServer(socketserver.TCPServer): pass\n",
    "nameless.py": "import socketserver\ndef plain():\n    return socketserver.TCPServer(('127.0.0.1', 0), None)\n",
    "kernel.py": handler("import select", "select.select([self.connection], [], [], 1)"),
}

BAD = {
    "module that is not there": (["nosuch:Handler"], ["'nosuch'"]),
    "file that is not there": (["ehco.py"], ["did you mean 'echo.py'?"]),
    "attribute that is not there": (["echo:Ehco"], ["'Ehco'", "did you mean 'Echo'?"]),
    "module that cannot be parsed": (["broken.py"], ["broken.py:1", "SyntaxError"]),
    "module that needs another": (["needs.py"], ["no_such_package", "install it"]),
    "module that exits": (["exits.py"], ["sys.exit(3)", "__main__"]),
    "module with several handlers": (["several.py"], ["several.py:Echo", "several.py:Subject"]),
    "neither handler nor server": (["other.py:Plain"], ["neither a handler nor a server", "allowed"]),
    "a number": (["other.py:number"], ["int object", "allowed"]),
    "import that serves": (["serves.py:Echo", "--import-limit", "500ms"], ["serve_forever() never returned", "__main"]),
    "import that waits": (["waits.py", "--import-limit", "500ms"], ["did not return within 0.5 s", "waits.py:2"]),
    "constructor of a handler that fails": (
        ["constructor.py:Subject"], ["RuntimeError: no configuration", "write a factory", "--factory"],
    ),
    "constructor of a handler that wants more": (["argument.py:Subject"], ["'root'", "partial(Subject, root="]),
    "server that serves already": (
        ["serving.py:server"], ["serving already", "end the function with `return server`"],
    ),
    "handler with servers of two kinds beside it": (
        ["kinds.py:Base"], ["run kinds.py:Base --server kinds.py:UDPServer", "--server kinds.py:TCPServer"],
    ),
    "server class with several handlers beside it": (
        ["kinds.py:UDPServer"], ["write:\n    handshaker run kinds.py:Grams --server kinds.py:UDPServer"],
    ),
    "function that does not say it makes a server": (
        ["nameless.py"], ["return annotation", "handshaker run nameless.py --factory nameless.py:plain"],
    ),
    "constructor of a server that fails": (["server.py:Server"], ["RuntimeError: no configuration"]),
    "handler for another server": (
        ["attribute.py:Subject"], ["self.server.greeting", "def make_server():", "server.greeting = ..."],
    ),
    "server that is none": (["echo.py", "--server", "echo:Echo"], ["--server", "not a server class"]),
    "factory that is not there": (["echo.py", "--factory", "echo:Ecko"], ["'Ecko'", "'Echo'"]),
    "server and factory": (["echo.py", "--server", "x:y", "--factory", "x:y"], ["exclude each other"]),
    "unknown network": (["echo.py", "--network", "cloud"], ["'cloud'", "'memory'"]),
    "empty name": ([""], ["'' is no target", "path/to/file.py:name"]),
    "unknown transport": (["echo.py", "--transport", "upd"], ["'upd'", "'unix-dgram'"]),
    "transport that the handler cannot speak": (
        ["echo.py", "--transport", "udp"], ["stream handler", "udp", "allowed transports are tcp, tcp6, unix"],
    ),
    "threads in memory": (
        ["echo.py", "--network", "memory", "--concurrency", "threading"], ["one thread", "leave one of them away"],
    ),
    "unknown concurrency": (["echo.py", "--concurrency", "treads"], ["'treads'", "'threading'"]),
    "Unix path that is too long": (["paths.py:Echo", "--server", "paths:Long"], ["too long", "107", "socket_path"]),
    "Unix path that is taken": (["paths.py:Echo", "--server", "paths:Taken"], ["is taken", "socket_path"]),
    "implementation that is not there": (["echo.py", "--implementation", "nosuch"], ["'nosuch'"]),
    "implementation that lacks names": (
        ["echo.py", "--implementation", "json"], ["'json' lacks BaseRequestHandler", "needed are"],
    ),
    "unknown phase": (["echo.py", "--phases", "swep"], ["'swep'", "did you mean 'sweep'?"]),
    "no duration": (["echo.py", "--max-time", "soon"], ["--max-time", "'soon'", "10m"]),
    "no time": (["echo.py", "--case-limit", "0s"], ["case-limit", "no time"]),
    "negative budget": (["echo.py", "--max-examples", "-1"], ["max-examples"]),
    "unknown invariant": (["echo.py", "--invariants", "handlr/*"], ["'handlr/*'", "did you mean 'handler/*'?"]),
    "no invariant left": (["echo.py", "--exclude-invariants", "*"], ["no invariant is left"]),
    "only phases that play nothing": (["echo.py", "--phases", "shrink,confirm"], ["nothing is selected to run"]),
    "no examples": (["echo.py", "--phases", "generate", "--max-examples", "0"], ["nothing is selected to run"]),
    "nothing saved": (["echo.py", "--phases", "regressions"], ["nothing to run", "echo.py"]),
    "unknown report": (["echo.py", "--report", "jsnl"], ["'jsnl'", "did you mean 'jsonl'?"]),
    "report that cannot be written": (["echo.py", "--report", "jsonl=/nonexistent/x"], ["/nonexistent/x"]),
    "folder that is not there": (["echo.py", "--cwd", "nowhere"], ["'nowhere'", "not a folder"]),
    "bytes with a bad escape": (["echo.py", "--example", "\\x"], ["--example", "\\\\x"]),
    "exception that is not there": (["echo.py", "--allow-exception", "echo:Ouch"], ["'echo.Ouch'", "module:Class"]),
    "exception that is none": (["echo.py", "--allow-exception", "echo:Echo"], ["not an exception class"]),
    "strategy that is not there": (["echo.py", "--messages", "words:none"], ["'words:none'", "module:attribute"]),
    "strategy that is none": (["echo.py", "--messages", "words:text"], ["'words:text'", "strategy of bytes"]),
    "strategy of something else": (["echo.py", "--messages", "words:numbers"], ["int", "bytes"]),
    "strategy that fails": (["echo.py", "--messages", "words:fails"], ["ValueError: no words"]),
    "reset that is not there": (["echo.py", "--reset", "echo:clear"], ["'echo:clear'", "module:attribute"]),
    "reset that fails": (["echo.py", "--reset", "words:fails"], ["'words:fails'", "ValueError: no words"]),
    "memory for a kernel's handler": (["kernel.py:Subject", "--network", "memory"], ["fileno", "--network loopback"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad")
    for name, text in MODULES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("arguments", "said"), BAD.values(), ids=BAD.keys())
def test_bad_input_gets_one_clear_message(folder, arguments, said):
    """A bad input is named with what is allowed, on standard error, with exit code 2 and nothing on standard output."""
    answer = handshaker(folder, "run", *arguments)
    assert answer.code == 2, answer
    assert [words for words in said if words not in answer.err] == []
    assert "Traceback" not in answer.err
    assert answer.out == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["play", "echo.py", "--fault", "recv"], ["'recv'", "POINT=EFFECT"]),
        (["play", "echo.py", "--fault", "recv=shrt"], ["'shrt'", "did you mean 'short'?"]),
        (["play", "echo.py", "--fault", "rcv=short"], ["'rcv'", "did you mean 'recv'?"]),
        (["play", "echo.py", "--address", "unbound"], ["--address unbound", "over tcp", "--transport unix-dgram"]),
        (["play", "echo.py", "--pause", "long"], ["--pause", "'long'"]),
        (["play", "attribute.py:Subject", "--send", "x\\n"], ["self.server.greeting", "def make_server():"]),
        (["explain", "lifecycle/finish"], ["'lifecycle/finish'", "did you mean 'lifecycle/finish-"]),
        (["list", "invariant"], ["'invariant'", "'invariants'"]),
        (["replay", "abcd"], ["'abcd'", "no saved finding begins with it"]),
        (["replay", "gone.json"], ["gone.json", "No such file"]),
        (["run"], ["TARGET"]),
    ],
)
def test_other_commands_say_as_clearly_what_is_wrong(folder, arguments, said):
    """The other commands answer bad input in the same way."""
    answer = handshaker(folder, *arguments)
    assert answer.code == 2, answer
    assert [words for words in said if words not in answer.err] == []
    assert "Traceback" not in answer.err


def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(tmp_path):
    """When findings could not be saved, nothing is tested, and the way out is named."""
    (tmp_path / "echo.py").write_text(ECHO)
    (tmp_path / ".handshaker").write_text("a file, not a folder")
    answer = handshaker(tmp_path, "run", "echo.py")
    assert answer.code == 2
    assert ".handshaker" in answer.err
    assert "--no-save" in answer.err
    assert answer.out == ""


def test_a_handler_that_nothing_applies_to_is_not_a_green_run(tmp_path):
    """When no chosen invariant could be judged, the run says that nothing was judged, with exit code 2."""
    (tmp_path / "echo.py").write_text(ECHO)
    answer = handshaker(tmp_path, "run", "echo.py", "--phases", "sweep", "--invariants", "relation/*", "--no-save")
    assert answer.code == 2
    assert "nothing was" in answer.out
