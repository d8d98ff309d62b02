"""Knows who may spend what, and books every token once."""
