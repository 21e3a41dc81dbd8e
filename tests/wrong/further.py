"""Further wrong re-implementations, such as people write: each with the one sub-check that has to notice it.

All of them serve well-behaved peers as the standard library does, and differ in one documented particular.
"""

from __future__ import annotations

from typing import Final

from tests.wrong.table import Wrong

__all__ = ["FURTHER"]

_BASE: Final = "BaseServer"
_TCP: Final = "TCPServer"
_UDP: Final = "UDPServer"
_STREAM: Final = "StreamRequestHandler"
_WRITER: Final = "_SocketWriter"
_THREADING: Final = "ThreadingMixIn"
_FORKING: Final = "ForkingMixIn"
_NODELAY: Final = "if self.disable_nagle_algorithm:"
_COUNT: Final = "        with memoryview(b) as view:\n            return view.nbytes"
_REUSE: Final = 'if self.allow_reuse_address and hasattr(socket, "SO_REUSEADDR"):'

_MISTAKES: Final = {
    "server/nothing-after-shutdown[a-peer-comes-while-shutdown-waits-tcp-plain]": (
        ("the loop forgets to look at the flag when it wakes", _BASE,
         "                    if self.__shutdown_request:\n                        break", "                    pass"),
    ),
    "server/shutdown-returns[waits-for-the-loop-tcp-plain]": (
        ("shutdown() sets the flag, and returns", _BASE, "self.__is_shut_down.wait()", "pass"),
        ("the second loop is not waited for", _BASE, "self.__is_shut_down.clear()", "pass"),
    ),
    "server/shutdown-returns[timeout-of-the-server-tcp-plain]": (
        ("the loop waits as long as handle_request()", _BASE, "select(poll_interval)",
         "select(self.timeout or poll_interval)"),
    ),
    "server/shutdown-returns[served-again-after-shutdown-tcp-plain]": (
        ("the flag stays set", _BASE, "finally:\n            self.__shutdown_request = False", "finally:"),
    ),
    "server/shutdown-returns[service_actions-raises-tcp-plain]": (
        ("a loop that an exception ends does not say so", _BASE,
         "        finally:\n            self.__shutdown_request = False\n            self.__is_shut_down.set()",
         "        except ZeroDivisionError: pass\n        self.__shutdown_request = False; self.__is_shut_down.set()"),
    ),
    "server/handle-request-bounded[timeout-of-the-socket-tcp-plain]": (
        ("the socket's timeout is not asked for", _BASE, "timeout = self.socket.gettimeout()", "timeout = None"),
        ("the longer one counts", _BASE, "min(timeout, self.timeout)", "max(timeout, self.timeout)"),
    ),
    "liveness/no-spin[nobody-comes-udp-plain]": (
        ("the loop polls without waiting", _BASE, "select(poll_interval)", "select(0)"),
    ),
    "server/close-waits-for-threads[daemon_threads-False-tcp-threading]": (
        ("threads are always daemons", _THREADING, "t.daemon = self.daemon_threads", "t.daemon = True"),
    ),
    "server/close-waits-for-threads[daemon_threads-True-tcp-threading]": (
        ("threads are never daemons", _THREADING, "t.daemon = self.daemon_threads", "t.daemon = False"),
    ),
    "server/close-waits-for-threads[block_on_close-False-tcp-threading]": (
        ("block_on_close is not asked for", _THREADING, "if self.block_on_close:", "if True:"),
    ),
    "server/next-request-served[beside-a-silent-peer-tcp-threading]": (
        ("the thread of a request is waited for at once", _THREADING, "t.start()", "t.start(); t.join()"),
    ),
    "resources/children-reaped[block_on_close-False-tcp-forking]": (
        ("block_on_close is not asked for", _FORKING, "blocking=self.block_on_close", "blocking=True"),
    ),
    "resources/children-reaped[handler-at-work-tcp-forking]": (
        ("server_close() never waits for children", _FORKING, "blocking=self.block_on_close", ""),
        ("server_close() forgets the children", _FORKING, "self.collect_children(blocking=self.block_on_close)",
         "pass"),
    ),
    "server/address[allow_reuse_address-True-tcp-plain]": (
        ("allow_reuse_address is not asked for", _TCP, _REUSE, "if False:"),
    ),
    "server/address[allow_reuse_address-False-tcp-plain]": (
        ("every address may be reused", _TCP, _REUSE, "if True:"),
    ),
    "server/address[bind_and_activate-False-tcp-plain]": (
        ("the constructor always binds", _TCP, "if bind_and_activate:", "if True:"),
    ),
    "server/hook-order[verify_request-says-1-tcp-plain]": (
        ("yes is True, and nothing else", _BASE, "if self.verify_request(request, client_address):",
         "if self.verify_request(request, client_address) is True:"),
    ),
    "server/denied-request-closed[verify_request-says-None-tcp-plain]": (
        ("no is False, and nothing else", _BASE, "if self.verify_request(request, client_address):",
         "if self.verify_request(request, client_address) is not False:"),
    ),
    "server/base-exceptions[accept-raises-KeyboardInterrupt-tcp-plain]": (
        ("nothing that accept() meets ends the loop", _BASE, "except OSError:", "except BaseException:"),
    ),
    "server/error-reported-once[handle-raises-ValueError-tcp-plain]": (
        ("the constructor of a handler keeps its errors", "BaseRequestHandler", "        finally:",
         "        except Exception:\n            pass\n        finally:"),
    ),
    "server/error-report[handle-fails-tcp-plain]": (
        ("the report has no traceback", _BASE, "traceback.print_exc()", "pass"),
    ),
    "server/error-report[says-who-tcp-plain]": (
        ("the report does not say whose request it was", _BASE, "            client_address, file", "            file"),
    ),
    "io/written-bytes-arrive[wbufsize-default-tcp-plain]": (
        ("wfile is never buffered", _STREAM, "if self.wbufsize == 0:", "if True:"),
    ),
    "io/written-bytes-arrive[wbufsize-1-tcp-plain]": (
        ("wfile has the usual buffer", _STREAM, "('wb', self.wbufsize)", "('wb')"),
    ),
    "io/write-all[short-send-tcp-plain]": (
        ("wfile is what makefile() gives for wbufsize 0", _STREAM, "if self.wbufsize == 0:", "if False:"),
    ),
    "io/write-all[write-counts-wbufsize-0-tcp-plain]": (
        ("write() returns nothing", _WRITER, _COUNT, "        return None"),
        ("write() counts items, not bytes", _WRITER, _COUNT, "        return len(b)"),
        ("wfile says that it cannot be written", _WRITER, "return True", "return False"),
    ),
    "io/buffered-interface[rbufsize-0-reads-no-further-tcp-plain]": (
        ("rfile always reads ahead", _STREAM, "('rb', self.rbufsize)", "('rb')"),
    ),
    "io/buffered-interface[rbufsize-default-tcp-plain]": (
        ("rfile is raw", _STREAM, "('rb', self.rbufsize)", "('rb', 0)"),
    ),
    "io/nagle[left-alone-tcp-plain]": (
        ("TCP_NODELAY is always set", _STREAM, _NODELAY, "if self.connection.family != socket.AF_UNIX:"),
    ),
    "io/stream-request[bytes-tcp-plain]": (
        ("every request has a timeout", _TCP, "return self.socket.accept()",
         "made = self.socket.accept(); made[0].settimeout(30); return made"),
    ),
    "datagram/request-is-pair[max_packet_size-16-udp-plain]": (
        ("the longest packet is written down elsewhere", _UDP, "recvfrom(self.max_packet_size)", "recvfrom(8192)"),
    ),
    "datagram/request-is-pair[max_packet_size-9000-udp-plain]": (
        ("no packet is longer than 8192 bytes", _UDP, "recvfrom(self.max_packet_size)",
         "recvfrom(min(self.max_packet_size, 8192))"),
    ),
    "datagram/request-is-pair[as-it-was-sent-udp-plain]": (
        ("the packet is stripped", _UDP, "(data, self.socket)", "(data.strip(), self.socket)"),
    ),
}  # fmt: skip

FURTHER: Final = tuple(
    (item, Wrong(item.partition("[")[0], *mistake)) for item, mistakes in _MISTAKES.items() for mistake in mistakes
)
"""The id of the sub-check, and the implementation that it catches."""
