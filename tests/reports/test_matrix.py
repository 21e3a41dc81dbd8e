"""The matrix after several campaigns."""

from __future__ import annotations

import pytest

from handshaker.harness.campaign.matrix import matrix
from handshaker.harness.notices import CampaignFinished
from handshaker.reports.matrix import matrix_lines
from handshaker.reports.text import lines_text

PLAIN = CampaignFinished(
    1, "done", 10, 1.0, 7,
    verdicts=(("io/nagle", 4, 0, 0, 0), ("io/write-all", 3, 1, 0, 0), ("server/child-exits", 0, 0, 0, 10)),
)  # fmt: skip
FORKING = CampaignFinished(
    0, "done", 10, 1.0, 7, verdicts=(("io/nagle", 4, 0, 0, 0), ("server/child-exits", 0, 0, 2, 0))
)
COLUMNS = (("tcp plain", PLAIN), ("tcp threading", "this handler ends every thread"), ("tcp forking", FORKING))


def test_a_matrix_counts_each_group_under_each_combination():
    """A cell counts the invariants of its group by what they came to; what never applied is not counted."""
    made = matrix(COLUMNS, 1)
    assert made.columns == ("tcp plain", "tcp forking")
    assert made.rows == (("io", ("1 violated, 1 held", "1 held")), ("server", ("", "1 unknown")))


def test_a_skipped_combination_is_named_with_its_reason():
    """Nobody takes a combination for tested that was not."""
    text = lines_text(matrix_lines(matrix(COLUMNS, 1)), color=False)
    assert "skipped tcp threading: this handler ends every thread" in text
    assert text.endswith("2 combinations played, 1 skipped · exit 1: violated\n")


@pytest.mark.parametrize(("columns", "meaning"), [(COLUMNS, "nothing that fails the run"), (COLUMNS[1:], "held")])
def test_the_last_line_says_what_the_exit_code_of_the_whole_run_means(columns, meaning):
    """It is the code that the command ends with, in the words of a run over one combination."""
    text = lines_text(matrix_lines(matrix(columns, 0)), color=False)
    assert text.endswith(f" · exit 0: {meaning}\n")


def test_columns_stand_below_their_names():
    """Cells are as wide as the widest of their column, and an empty one is a dash."""
    rows = lines_text(matrix_lines(matrix(COLUMNS, 1)), color=False).splitlines()
    head, io, server = rows[1:4]
    assert head.index("tcp forking") == io.rindex("1 held") == server.index("1 unknown")
    assert server.split() == ["server", "-", "1", "unknown"]


def test_no_line_is_wider_than_the_screen():
    """Many combinations fold the table; nothing is cut off."""
    many = tuple((f"{name} {kind}", PLAIN) for name in ("tcp", "tcp6", "unix") for kind in ("plain", "threading"))
    rows = lines_text(matrix_lines(matrix(many, 0), width=80), color=False).splitlines()
    assert max(map(len, rows)) <= 80
    assert sum("unix threading" in row for row in rows) == 1
