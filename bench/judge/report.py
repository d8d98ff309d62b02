"""How the benches of the judges print."""

import sys


def say(*parts: object) -> None:
    """Write one line at once, so that a long training can be followed."""
    sys.stdout.write(" ".join(map(str, parts)) + "\n")
    sys.stdout.flush()
