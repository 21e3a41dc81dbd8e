"""handshaker: point it at a network request handler; it finds the smallest traffic that breaks it."""

from __future__ import annotations

__version__ = "0.1.0"
