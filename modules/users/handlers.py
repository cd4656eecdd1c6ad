"""This module hears no events."""
