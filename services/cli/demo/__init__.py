"""`parley demo`: a whole suite at work, in a terminal, in under a minute."""

from services.cli.demo.command import demo

__all__ = ["demo"]
