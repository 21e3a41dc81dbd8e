"""The pytest plugin: shows our own failure block, whatever other plugins do to Hypothesis' falsifying example.

It is loaded with every pytest run of every project that has handshaker installed, so it imports nothing heavy.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["pytest_configure_node", "pytest_runtest_makereport", "pytest_sessionfinish"]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Add the failure blocks of an InvariantViolated as a section of their own, unless the report shows them."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    shown = str(report.longrepr)
    hidden = [block for block in _blocks(error) if not all(line.strip() in shown for line in block.splitlines())]
    if hidden:
        report.sections.append(("handshaker", "\n\n".join(hidden)))
    return report


def _blocks(error: BaseException | None) -> tuple[str, ...]:
    if isinstance(error, BaseExceptionGroup):
        return tuple(block for inner in error.exceptions for block in _blocks(inner))
    return tuple(getattr(error, "blocks", ())) if type(error).__name__ == "InvariantViolated" else ()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Remember under pytest-xdist, in the process that controls the others, what they call this run."""
    node.config._handshaker_run = node.workerinput["testrunuid"]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Remove what the campaigns of this run left for each other."""
    if hasattr(session.config, "workerinput"):
        return
    mark = getattr(session.config, "_handshaker_run", f"{os.getpid()}-{id(session.config):x}")
    shutil.rmtree(Path(tempfile.gettempdir()) / f"handshaker-{os.getuid()}-{mark}", ignore_errors=True)
