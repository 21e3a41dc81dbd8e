"""What `make demo` shows: handshaker on a handler of the standard library and on two handlers with realistic bugs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = (
    ("a handler of the standard library", "http.server:SimpleHTTPRequestHandler"),
    ("a chat that enters a peer in its list in setup(), and loses it there when setup() then fails", "chat.py"),
    ("a server that takes one recv() for one message", "shout.py"),
)
COULD_NOT_TEST = 2


def main() -> int:
    """Run all three. Findings are what they are meant to show, so only a run that could not test is a failure."""
    codes = []
    for about, target in RUNS:
        command = ["handshaker", "run", target, "--seed", "1"]
        print(f"\n# {about}\n$ {' '.join(command)}", flush=True)
        codes.append(subprocess.run([sys.executable, "-m", *command], cwd=HERE, check=False).returncode)
    handshaker = Path(sys.executable).with_name("handshaker")
    print(f"\nThe replay commands above work in {HERE}, with {handshaker} as `handshaker`.")
    return int(any(code >= COULD_NOT_TEST for code in codes))


if __name__ == "__main__":
    sys.exit(main())
