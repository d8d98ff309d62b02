"""`parley demo`: a whole suite at work, in a terminal, in under a minute."""

from parley_services.cli.demo.command import demo

__all__ = ["demo"]
