"""`python -m handshaker` is the command line."""

from __future__ import annotations

from handshaker.harness.cli import main

if __name__ == "__main__":
    main()
