"""Cases per second of boofuzz, tuned: no pause, no web page, no text log, only the last passing case kept.

Run by `peers.py` with an interpreter that has boofuzz: `python boofuzz_rate.py CASES`; prints one line of JSON. The
server runs in a thread of the same process, over loopback, so that the CPU time of both is counted, as it is for us.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import tempfile
import threading
import time

import boofuzz
from lineserver import Store


class Server(socketserver.TCPServer):
    """A plain server on a port that the kernel chooses."""

    request_queue_size = 128


def session(port: int, cases: int) -> boofuzz.Session:
    """The line protocol as boofuzz describes it."""
    target = boofuzz.Target(connection=boofuzz.TCPSocketConnection("127.0.0.1", port, recv_timeout=0.05))
    made = boofuzz.Session(
        target=target, sleep_time=0.0, restart_sleep_time=0, web_port=None, keep_web_open=False, fuzz_loggers=[],
        fuzz_db_keep_only_n_pass_cases=1, receive_data_after_each_request=False, receive_data_after_fuzz=False,
        index_end=cases,
    )  # fmt: skip
    children = (
        boofuzz.Group("verb", values=["PUT", "GET", "QUIT"]), boofuzz.Delim("space", " "), boofuzz.String("key", "a"),
        boofuzz.Delim("gap", " "), boofuzz.String("number", "1"), boofuzz.Static("end", "\n"),
    )  # fmt: skip
    made.connect(boofuzz.Request("line", children=children))
    return made


def main() -> None:
    """Fuzz and tell."""
    cases = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder, Server(("127.0.0.1", 0), Store) as server:
        os.chdir(folder)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        made = session(server.server_address[1], cases)
        wall, cpu = time.perf_counter(), time.process_time()
        made.fuzz()
        told = {"cases": made.num_cases_actually_fuzzed, "cpu": time.process_time() - cpu}
        told["wall"] = time.perf_counter() - wall
        server.shutdown()
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
