"""The way from Streamlit's pages to the class's own page."""

from lab.ui.leave import leave


def to_class() -> None:
    """The browser goes there at once."""
    leave("join", "Your class", "The class")
