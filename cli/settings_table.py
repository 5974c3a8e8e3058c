"""The table of docs/settings.md, made from the declarations of the settings.

`python -m cli.settings_table` writes it.
"""

from pathlib import Path
from typing import Final

from server.setting import Setting, settings_of
from server.settings import Settings

PAGE: Final = Path(__file__).parents[1] / "docs" / "settings.md"
HEADER: Final = "| Flag | Variable | Default | |\n|---|---|---|---|\n"


def table() -> str:
    """A row for every setting, in Markdown."""
    return HEADER + "".join(map(_row, settings_of(Settings)))


def with_table(page: str) -> str:
    """A page with the table as it must be, in the place of the one that it has."""
    before, _, rest = page.partition(HEADER)
    _, _, after = rest.partition("\n\n")
    return f"{before}{table()}\n{after}"


def _row(setting: Setting) -> str:
    return f"| `{setting.flag}` | `{setting.variable}` | {_default(setting)} | {setting.help} |\n"


def _default(setting: Setting) -> str:
    if setting.default is None:
        return setting.unset
    if isinstance(setting.default, bool):
        return "yes" if setting.default else "no"
    if isinstance(setting.default, float):
        return f"{setting.default:g}"
    return f"`{setting.default}`" if str(setting.default) else ""


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
