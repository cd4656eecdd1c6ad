"""The fixtures of these tests."""

from tests.boundaries.source.looking import look, street

__all__ = ["look", "street"]
