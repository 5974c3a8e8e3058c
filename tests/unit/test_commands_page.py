"""docs/commands.md has every command, and every exit code."""

import re

from cli import exits
from cli.commands_table import PAGE, with_table


def test_the_table_of_commands_is_that_of_the_commands() -> None:
    page = PAGE.read_text()
    assert page == with_table(page), "write it anew: python -m cli.commands_table"


def test_every_exit_code_is_in_its_table() -> None:
    codes = {value for name, value in vars(exits).items() if name.isupper()}
    listed = {int(each) for each in re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.MULTILINE)}
    assert listed == codes | {0}
