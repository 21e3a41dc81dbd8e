"""What the worker's zygote calls to get the target: by the text of TARGET, or through the pytest test that names it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any, Final

from handshaker.harness.errors import TargetError, UsageError
from handshaker.targets.implementation import implementation
from handshaker.targets.stdlib import StdlibTarget, load_target

__all__ = ["DECLARED", "load_for_worker"]

_HOSTING: Final = ("server", "factory", "transport", "concurrency", "implementation")

DECLARED: Any = None
"""What the `lifecycle_test` that names the target declares; its strategy and its reset are found here by name."""


def load_for_worker(arguments: dict[str, Any]) -> StdlibTarget:
    """The target, imported in this process. Raises UsageError or TargetError as `load_target` does."""
    if "test_module" in arguments:
        return _from_test(arguments)
    hosting = {name: arguments[name] for name in _HOSTING}
    return load_target(arguments["text"], root=arguments["root"], **hosting)


def _from_test(arguments: dict[str, Any]) -> StdlibTarget:
    global DECLARED  # noqa: PLW0603 - one worker has one target
    sys.path[:0] = [entry for entry in arguments["sys_path"] if entry not in sys.path]
    module = _import_file(arguments["test_module_name"], Path(arguments["test_module"]))
    test = getattr(module, arguments["test"], None)
    declared = getattr(test, "handshaker_target", None)
    if declared is None:
        raise UsageError(
            f"{arguments['test_module']}: {arguments['test']!r} is not a lifecycle_test of the module itself; "
            "assign it to a name at the top level: test_x = handshaker.lifecycle_test(MyHandler)"
        )
    DECLARED = declared
    offered = implementation(arguments["implementation"]) if arguments["implementation"] else None
    return StdlibTarget(
        declared.subject, text=arguments["text"], server=declared.server, factory=declared.factory,
        transport=arguments["transport"], concurrency=arguments["concurrency"], implementation=offered,
    )  # fmt: skip


def _import_file(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise TargetError(f"{path}: the test module cannot be imported again in the worker")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
