"""One wrong re-implementation for each row of the contract: the interpreter's own `socketserver`, one text replaced.

`also` are the rules that follow from the same mistake, reviewed by hand; nothing else may be violated.
"""

from __future__ import annotations

import ast
import inspect
import socketserver
from dataclasses import dataclass
from types import ModuleType
from typing import Final

__all__ = ["WRONGS", "Wrong"]

_FINISH: Final = "self.RequestHandlerClass(request, client_address, self)"
_REPORT: Final = "self.handle_error(request, client_address)"
_SHUT: Final = "self.shutdown_request(request)"


@dataclass(frozen=True)
class Wrong:
    """The rule that it breaks, what is wrong in one sentence, in which class *old* becomes *new*, and what follows."""

    slug: str
    mistake: str
    cls: str
    old: str
    new: str
    also: tuple[str, ...] = ()
    times: int = 1

    def module(self) -> ModuleType:
        """The wrong `socketserver`, loaded as a module of its own."""
        source = inspect.getsource(socketserver)
        made = ModuleType(f"wrong_{self.slug.replace('/', '_').replace('-', '_')}", self.mistake)
        exec(compile(self._damaged(source), f"<{made.__name__}>", "exec"), vars(made))
        return made

    def _damaged(self, source: str) -> str:
        lines = source.splitlines(keepends=True)
        node = next(n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ClassDef) and n.name == self.cls)
        inside = "".join(lines[node.lineno - 1 : node.end_lineno])
        assert inside.count(self.old) == self.times, (self, inside.count(self.old))
        return "".join([*lines[: node.lineno - 1], inside.replace(self.old, self.new), *lines[node.end_lineno :]])


_HANDLER: Final = "BaseRequestHandler"
_STREAM: Final = "StreamRequestHandler"
_FORKING: Final = "ForkingMixIn"
_THREADING: Final = "ThreadingMixIn"
_DATAGRAM: Final = "DatagramRequestHandler"
_REPLY: Final = "self.socket.sendto(self.wfile.getvalue(), self.client_address)"

WRONGS: Final = (
    Wrong(
        "lifecycle/one-handler-per-request", "one handler is kept and serves everybody", "BaseServer",
        _FINISH, f"if not hasattr(self, '_pool'): self._pool = {_FINISH}",
        also=("resources/handler-released",),
    ),
    Wrong(
        "lifecycle/order", "handle() is called again, as after an upgrade", _HANDLER,
        "            self.handle()\n", "            self.handle()\n            self.handle()\n",
    ),
    Wrong(
        "lifecycle/finish-only-after-setup", "setup() stands inside the try", _HANDLER,
        "        self.setup()\n        try:\n", "        try:\n            self.setup()\n",
    ),
    Wrong(
        "lifecycle/finish-always-after-setup", "finish() simply follows handle()", _HANDLER,
        "        try:\n            self.handle()\n        finally:\n            self.finish()",
        "        self.handle()\n        self.finish()",
        also=("resources/closed-explicitly",),
    ),
    Wrong(
        "lifecycle/finish-once", "finish() is called to be sure, and once more", _HANDLER,
        "            self.finish()", "            self.finish()\n            self.finish()",
        also=("lifecycle/finish-always-after-setup", "lifecycle/order"),
    ),
    Wrong(
        "lifecycle/files-ready-in-handle", "the connection has another name", _STREAM,
        "self.connection", "self.conn", times=6,
    ),
    Wrong(
        "lifecycle/attributes-before-setup", "the server is not handed on", _HANDLER,
        "self.server = server", "self.server = None",
    ),
    Wrong(
        "server/error-reported-once", "errors are dropped", "BaseServer",
        f"{_REPORT}\n                {_SHUT}", _SHUT,
    ),
    Wrong(
        "server/base-exceptions", "a bare except reports everything", "BaseServer",
        f"                {_SHUT}\n                raise", f"                {_REPORT}\n                {_SHUT}",
    ),
    Wrong(
        "lifecycle/finish-does-not-raise", "finish() says goodbye to a peer that may be gone", _STREAM,
        "        self.wfile.close()", "        self.connection.shutdown(socket.SHUT_RDWR)\n        self.wfile.close()",
        also=("resources/closed-explicitly",),
    ),
    Wrong(
        "lifecycle/defaults-do-nothing", "the default finish() closes the request", _HANDLER,
        "def finish(self):\n        pass", "def finish(self):\n        self.request.close()",
    ),
    Wrong(
        "io/client-address", "the handler is told the host only", "BaseServer",
        _FINISH, "self.RequestHandlerClass(request, client_address[:1], self)",
        also=("lifecycle/attributes-before-setup",),
    ),
    Wrong(
        "io/stream-request", "the request does not block", "TCPServer",
        "return self.socket.accept()", "made = self.socket.accept(); made[0].setblocking(False); return made",
    ),
    Wrong(
        "server/address", "server_address is what was asked for", "TCPServer",
        "self.server_address = self.socket.getsockname()", "pass",
    ),
    Wrong(
        "relation/segmentation", "rfile is what one recv() returned", _STREAM,
        "self.rfile = self.connection.makefile('rb', self.rbufsize)",
        "import io; self.rfile = io.BytesIO(self.connection.recv(65536))",
        also=("io/buffered-interface",),
    ),
    Wrong(
        "io/buffered-interface", "wfile is something with a write()", "_SocketWriter",
        "(BufferedIOBase):", ":\n    closed = False\n    flush = close = lambda self: None\n",
        also=("io/nothing-after-finish",),
    ),
    Wrong(
        "io/written-bytes-arrive", "finish() neither flushes nor closes", _STREAM,
        "        if not self.wfile.closed:", "        return\n        if not self.wfile.closed:",
        also=("io/nothing-after-finish", "resources/closed-explicitly"),
    ),
    Wrong(
        "io/write-all", "write() sends as much as goes", "_SocketWriter", "self._sock.sendall(b)", "self._sock.send(b)",
    ),
    Wrong(
        "io/nothing-after-finish", "finish() leaves rfile open", _STREAM, "self.rfile.close()", "pass",
        also=("resources/closed-explicitly",),
    ),
    Wrong(
        "resources/socket-closed-once", "nobody closes the request of a handler that failed", "BaseServer",
        f"{_REPORT}\n                {_SHUT}", _REPORT,
        also=("resources/closed-explicitly", "server/hook-order"),
    ),
    Wrong(
        "resources/shutdown-before-close", "close() alone", "TCPServer", "request.shutdown(socket.SHUT_WR)", "pass",
    ),
    Wrong(
        "resources/no-fd-leak", "the handler keeps a second file, and itself", _STREAM,
        "self.connection = self.request",
        "self.connection = self.request; self.me, self.second = self, self.request.makefile('rb')",
        also=("resources/handler-released",),
    ),
    Wrong(
        "resources/handler-released", "the server remembers whom it served", _HANDLER,
        "self.server = server", "self.server = server; vars(server).setdefault('served', []).append(self)",
    ),
    Wrong(
        "server/denied-request-closed", "a denied request is forgotten", "BaseServer",
        f"        else:\n            {_SHUT}", "        else:\n            pass",
        also=("resources/closed-explicitly", "resources/socket-closed-once", "server/hook-order"),
    ),
    Wrong(
        "server/accept-errors-survived", "an OSError of accept() ends the loop", "BaseServer",
        "        except OSError:\n            return", "        except OSError:\n            raise",
    ),
    Wrong(
        "server/hook-order", "process_request() makes the handler itself", "BaseServer",
        f"        self.finish_request(request, client_address)\n        {_SHUT}", f"        {_FINISH}\n        {_SHUT}",
    ),
    Wrong(
        "server/next-request-served", "an error that was reported ends the loop all the same", "BaseServer",
        f"{_REPORT}\n                {_SHUT}", f"{_REPORT}\n                {_SHUT}\n                raise",
    ),
    Wrong(
        "liveness/no-spin", "finish() asks again and again whether the peer has left", _STREAM,
        "self.rfile.close()",
        "self.rfile.close(); self.connection.setblocking(False)\n        while True:\n            try:\n"
        "                if not self.connection.recv(1): break\n            except OSError: pass",
    ),
    Wrong(
        "io/timeout-applied", "the timeout is not set", _STREAM, "self.connection.settimeout(self.timeout)", "pass",
        also=("liveness/timeout-respected",),
    ),
    Wrong("io/nagle", "the flag is not looked at", _STREAM, "if self.disable_nagle_algorithm:", "if False:"),
    Wrong(
        "server/error-report", "the default report says nothing", "BaseServer",
        "        print('-'*40, file=sys.stderr)\n        print('Exc", "        return\n        print('Exc",
    ),
    Wrong(
        "resources/clean-run", "each request warns", _HANDLER,
        "self.server = server", "self.server = server; import warnings; warnings.warn('old', ResourceWarning)",
    ),
    Wrong(
        "datagram/request-is-pair", "the packet is text", "UDPServer",
        "(data, self.socket)", "(data.decode('latin-1'), self.socket)",
    ),
    Wrong(
        "datagram/one-reply", "a reply is sent in pieces", _DATAGRAM,
        _REPLY, "for at in range(0, 99, 2): self.wfile.getvalue()[at:] and self.socket.sendto("
        "self.wfile.getvalue()[at : at + 2], self.client_address)",
    ),
    Wrong(
        "datagram/no-half-reply", "who has nothing to say sends back what it got", _DATAGRAM,
        "self.wfile.getvalue()", "self.wfile.getvalue() or self.packet",
    ),
    Wrong(
        "datagram/reply-to-sender", "every reply goes to the first peer", _DATAGRAM,
        "self.client_address", "vars(self.server).setdefault('first', self.client_address)",
    ),
    Wrong(
        "datagram/shared-socket-stays-open", "a request is closed like any other", "UDPServer",
        "# No need to close anything.\n        pass", "request[1].close()",
        also=("server/next-request-served",),
    ),
    Wrong(
        "resources/parent-closes-connection", "the parent keeps its copy", _FORKING,
        "self.close_request(request)", "pass",
    ),
    Wrong(
        "server/close-waits-for-threads", "threads are not remembered", _THREADING, "self._threads.append(t)", "pass",
    ),
    Wrong(
        "resources/no-thread-left", "each request starts a watcher that nobody stops", _THREADING,
        f"            {_SHUT}",
        f"            {_SHUT}\n            import time\n"
        "            threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
    ),
    Wrong(
        "resources/children-reaped", "children are not collected", _FORKING,
        "if self.active_children is None:\n                return", "return",
        also=("server/max-children",),
    ),
    Wrong(
        "server/child-exits", "a child that failed says that all went well", _FORKING, "_exit(status)", "_exit(0)",
        also=("server/base-exceptions",),
    ),
    Wrong("server/max-children", "nobody counts the children", _FORKING, "while len(", "while False and len("),
    Wrong(
        "resources/failed-bind-closes", "a constructor that fails leaves its socket", "TCPServer",
        "            except:\n                self.server_close()\n                raise", "            finally: pass",
    ),
    Wrong(
        "server/handle-request-bounded", "nobody is told that no request came", "BaseServer",
        "return self.handle_timeout()", "return None",
    ),
    Wrong(
        "server/shutdown-returns", "the loop is waited for, and not told", "BaseServer",
        "self.__shutdown_request = True", "pass",
    ),
    Wrong(
        "server/nothing-after-shutdown", "the loop says that it is over, and takes one more", "BaseServer",
        "    self.__is_shut_down.set()", "    self.__is_shut_down.set()\n            self.handle_request()",
    ),
    Wrong(
        "server/close-is-idempotent", "the socket is forgotten", "TCPServer",
        "self.socket.close()", "self.socket.close(); self.socket = None",
    ),
    Wrong(
        "relation/concurrent-isolation", "one failure closes all connections", _THREADING,
        f"            self.finish_request(request, client_address)\n        except Exception:\n            {_REPORT}",
        "            vars(self).setdefault('open', set()).add(request)\n"
        f"            self.finish_request(request, client_address)\n        except Exception:\n            {_REPORT}\n"
        "            for each in self.open: each.shutdown(2)",
    ),
    Wrong(
        "server/service-actions", "the loop does nothing but serve", "BaseServer", "  self.service_actions()", "  pass",
    ),
    Wrong(
        "server/context-manager", "leaving closes nothing", "BaseServer",
        "def __exit__(self, *args):\n        self.server_close()", "def __exit__(self, *args):\n        pass",
    ),
    Wrong(
        "server/handle-timeout-reaps", "idle moments are not used", _FORKING,
        'May be extended, do not override.\n            """\n            self.collect_children()',
        'May be extended, do not override.\n            """',
    ),
)  # fmt: skip
