"""The page of all options."""

from pathlib import Path

from app.config.config import Config
from app.config.document import document
from app.config.option import options_of

_PAGE = Path(__file__).parents[3] / "docs" / "options.md"


def test_the_page_in_the_repository_is_current() -> None:
    """Else run `python -m app.config.document > docs/options.md`."""
    assert _PAGE.read_text() == document()


def test_every_option_and_variable_is_on_it() -> None:
    """With its flag as a heading."""
    page = document()
    for each in options_of(Config):
        assert f"### `{each.flag} " in page
        assert f"`{each.variable}`" in page
