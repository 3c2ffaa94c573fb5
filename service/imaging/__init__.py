"""Bytes to pixels and back, without losing what the photographer put in."""
