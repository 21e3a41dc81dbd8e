"""Errors say who is to blame, and suggest what was probably meant."""

from __future__ import annotations

import pytest

from handshaker.harness import errors


@pytest.mark.parametrize(
    ("wrong", "allowed", "said"),
    [
        ("sned", ["send", "close"], "did you mean 'send'?"),
        ("xyz", ["send", "close"], "allowed: close, send"),
        ("xyz", [], "allowed: (nothing)"),
        ("abcd", ["abce", "abcf"], "did you mean 'abcf' or 'abce'?"),
    ],
)
def test_a_wrong_name_is_answered_with_close_or_all_names(wrong, allowed, said):
    """Close names are suggested; when none is close, all allowed names are listed in order."""
    assert errors.did_you_mean(wrong, allowed) == said


def test_at_most_three_names_are_suggested():
    """A long table of similar names does not flood the message."""
    assert errors.did_you_mean("name0", [f"name{number}" for number in range(10, 99)]).count("'") == 6


def test_blame_is_in_the_type():
    """User, target and harness errors are told apart by type, and all are handshaker's."""
    blamed = [errors.UsageError, errors.TargetError, errors.HarnessBug]
    assert all(issubclass(blame, errors.HandshakerError) for blame in blamed)
    assert not any(issubclass(one, other) for one in blamed for other in blamed if one is not other)
