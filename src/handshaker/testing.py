"""For those who re-implement what handshaker tests: conformance suites as ordinary pytest items, with names.

The same as `handshaker.harness.testing`, under the name that is documented.
"""

from __future__ import annotations

from handshaker.harness.testing import KNOWN_CPYTHON, Asked, check_invariant, check_target, check_transport

__all__ = ["KNOWN_CPYTHON", "Asked", "check_invariant", "check_target", "check_transport"]
