"""The command line, also as `python -m handshaker`."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; Ctrl-C while it is still being loaded is no traceback either."""
    try:
        from handshaker.harness import cli  # noqa: PLC0415 - loading takes long enough to be interrupted

        cli.main()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
