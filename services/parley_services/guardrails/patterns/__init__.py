"""Patterns as trees, so that a stream knows what could still become a match."""
