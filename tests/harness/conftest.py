"""What the tests of campaigns share."""

from __future__ import annotations

import pytest


@pytest.fixture
def write(tmp_path):
    """A function that writes a file into a folder of this test's own, and returns the folder."""

    def write(text: str, name: str = "subject.py"):
        (tmp_path / name).write_text(text)
        return tmp_path

    return write
