"""What `make demo` shows: handshaker on a handler of the standard library and on two handlers with realistic bugs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
RUNS = (
    ("http.server:SimpleHTTPRequestHandler", 0),
    ("chat.py:ChatHandler", 1),
    ("shout.py:ShoutHandler", 1),
)


def main() -> int:
    """Run all three and compare their exit codes with what is expected."""
    surprises = 0
    for target, expected in RUNS:
        command = ["handshaker", "run", target, "--seed", "1"]
        print(f"\n$ {' '.join(command)}", flush=True)
        code = subprocess.run([sys.executable, "-m", *command], cwd=HERE, check=False).returncode
        if code != expected:
            print(f"demo: expected exit code {expected}, got {code}")
            surprises += 1
    return min(1, surprises)


if __name__ == "__main__":
    sys.exit(main())
