"""What all tests share: one Hypothesis profile, so that a green run stays green on a busy machine."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests import leftovers

# Derandomised and without deadlines: a test fails because of the code, never because of the day or of a neighbour.
settings.register_profile(
    "handshaker", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)
settings.load_profile("handshaker")


def pytest_configure(config: pytest.Config) -> None:
    """Watch what the suite leaves behind."""
    leftovers.register(config)
