"""Files that nobody has to remove: made without a name, inherited by the worker, read by the supervisor."""

from __future__ import annotations

import fcntl
import os
import tempfile

__all__ = ["Capture"]

_KEEP_BYTES = 8 << 10
_MOST_BYTES = 4 << 20


class Capture:
    """Collects what other processes append, and keeps it short."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 (it lives as long as this object)
        # Appending, so that every process goes on at the end also after we have cut the file.
        fcntl.fcntl(self._file, fcntl.F_SETFL, fcntl.fcntl(self._file, fcntl.F_GETFL) | os.O_APPEND)
        self._earlier = b""

    def fileno(self) -> int:
        """The descriptor to be inherited."""
        return self._file.fileno()

    def clear(self) -> None:
        """Forget everything."""
        self._earlier = b""
        os.truncate(self.fileno(), 0)

    def trim(self) -> None:
        """Cut a file that has become long; its tail stays readable."""
        if os.fstat(self.fileno()).st_size > _MOST_BYTES:
            self._earlier = self._last_bytes()
            os.truncate(self.fileno(), 0)

    def tail(self) -> str:
        """The last few KiB."""
        return (self._earlier + self._last_bytes())[-_KEEP_BYTES:].decode("utf-8", "replace")

    def close(self) -> None:
        """Give the space back."""
        self._file.close()

    def _last_bytes(self) -> bytes:
        size = os.fstat(self.fileno()).st_size
        return os.pread(self.fileno(), _KEEP_BYTES, max(0, size - _KEEP_BYTES))
