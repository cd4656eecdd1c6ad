"""The servers of tests/extraction, for projects that are not ours."""

from tests.extraction.conftest import servers

__all__ = ["servers"]
