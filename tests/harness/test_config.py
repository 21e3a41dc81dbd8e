"""Settings that live with a project count where the command line says nothing, and slips in them are named."""

from __future__ import annotations

import pytest

from handshaker.harness.cli import _CONFIGURABLE, cli
from handshaker.harness.config import read_config
from handshaker.harness.errors import UsageError

ALLOWED = {"seed": int, "max_time": str, "phases": tuple, "stateless": bool}


def write(folder, text):
    (folder / "pyproject.toml").write_text(text)
    return str(folder)


def test_a_project_without_settings_has_none(tmp_path):
    """No file, no table and an empty table all mean no settings."""
    assert read_config(str(tmp_path), ALLOWED) == {}
    assert read_config(write(tmp_path, "[project]\nname = 'x'\n"), ALLOWED) == {}
    assert read_config(write(tmp_path, "[tool.handshaker]\n"), ALLOWED) == {}


def test_keys_are_written_as_options_are(tmp_path):
    """A key may have the dashes of its option; a list becomes a tuple."""
    text = '[tool.handshaker]\nseed = 7\nmax-time = "3s"\nphases = ["sweep"]\nstateless = true\n'
    assert read_config(write(tmp_path, text), ALLOWED) == {
        "seed": 7, "max_time": "3s", "phases": ("sweep",), "stateless": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sed = 1", "has no key 'sed'; did you mean 'seed'"),
        ("max_tiem = '1s'", "did you mean 'max-time'"),
        ('seed = "1"', "seed = '1': expected int"),
        ("seed = true", "expected int"),
        ("stateless = 1", "expected bool"),
        ('phases = "sweep"', "expected list"),
        ("phases = [1]", "expected a list of texts"),
        ("seed = ", "not valid TOML"),
    ],
)
def test_slips_are_named_with_the_file(tmp_path, line, said):
    """An unknown key, a value of another type and a file that is not TOML are told with the file's name."""
    with pytest.raises(UsageError) as told:
        read_config(write(tmp_path, f"[tool.handshaker]\n{line}\n"), ALLOWED)
    assert said in str(told.value)
    assert "pyproject.toml" in str(told.value)


def test_a_table_that_is_none_is_named(tmp_path):
    """A value where the table should be is a slip as well."""
    with pytest.raises(UsageError, match="expected a table"):
        read_config(write(tmp_path, "[tool]\nhandshaker = 3\n"), ALLOWED)


def test_every_option_about_the_campaign_can_live_with_the_project():
    """The table takes each option of `run`, but for those about one run only: where reports go, and saving."""
    options = {param.name for param in cli.commands["run"].params if param.param_type_name == "option"}
    assert options - set(_CONFIGURABLE) == {"report", "report_dir", "no_save"}
    assert set(_CONFIGURABLE) <= options
