"""The fixture of these tests."""

from tests.boundaries.source.looking import look

__all__ = ["look"]
