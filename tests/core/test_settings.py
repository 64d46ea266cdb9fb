"""How much the package reports, and that each message appears once."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import simplechrome_tk as sct

PACKAGE = logging.getLogger("simplechrome_tk")
AS_IMPORTED = PACKAGE.level, list(PACKAGE.handlers), PACKAGE.propagate


@pytest.fixture(autouse=True)
def _leave_logger_as_found():
    level, handlers = PACKAGE.level, list(PACKAGE.handlers)
    yield
    PACKAGE.setLevel(level)
    PACKAGE.handlers[:] = handlers


@pytest.mark.parametrize(
    ("value", "number", "level"),
    [
        (0, 0, logging.ERROR),
        (1, 1, logging.WARNING),
        (2, 2, logging.INFO),
        (3, 3, logging.DEBUG),
        ("error", 0, logging.ERROR),
        ("Warning", 1, logging.WARNING),
        ("info", 2, logging.INFO),
        ("hint", 3, logging.DEBUG),
        ("debug", 3, logging.DEBUG),
    ],
)
def test_verbosity_sets_the_level_of_the_logger(value, number, level):
    sct.settings.verbosity = value
    assert sct.settings.verbosity == number
    assert PACKAGE.level == level


@pytest.mark.parametrize("value", [-1, 4, True, 2.0, "loud", None])
def test_other_values_are_refused(value):
    before = PACKAGE.level
    with pytest.raises(ValueError, match="verbosity is"):
        sct.settings.verbosity = value
    assert PACKAGE.level == before


def test_setting_it_again_adds_no_second_handler():
    sct.settings.verbosity = 2
    found = list(PACKAGE.handlers)
    sct.settings.verbosity = 3
    assert PACKAGE.handlers == found


_SCRIPT = """
import logging
from simplechrome_tk.core.settings import settings
logger = logging.getLogger("simplechrome_tk.pp.step")
{}
logger.warning("a warning")
logger.info("a success")
"""


@pytest.mark.parametrize(
    ("lines", "printed"),
    [
        ("", ["a warning"]),
        ("settings.verbosity = 0", []),
        ("settings.verbosity = 1", ["a warning"]),
        ("settings.verbosity = 'info'", ["a warning", "a success"]),
        (
            "logging.basicConfig(format='root: %(message)s'); settings.verbosity = 2",
            ["root: a warning", "root: a success"],
        ),
        (
            "logging.basicConfig(filename='/dev/null'); settings.verbosity = 2",
            ["a warning", "a success"],
        ),
        (
            "logging.basicConfig(format='root: %(message)s'); logging.getLogger().handlers[0].setLevel('WARNING'); "
            "settings.verbosity = 2",
            ["root: a warning", "a success"],
        ),
    ],
    ids=["as imported", "errors", "warnings", "info", "root prints", "root writes a file", "root shows warnings"],
)
def test_each_message_appears_once(lines, printed):
    """In a process of its own, since pytest puts handlers on the root logger."""
    code = "import sys, types; sys.modules['simplechrome_tk'] = package = types.ModuleType('simplechrome_tk')\n"
    code += f"package.__path__ = {sct.__path__!r}\n" + _SCRIPT.format(lines)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.splitlines() == printed


def test_importing_the_package_configures_nothing():
    assert AS_IMPORTED == (logging.NOTSET, [], True)
