"""
What do the guardrails cost? `python -m bench.guardrails_cost`

CPU time of this process with all default rules, the least of several rounds: a check of an
input of 1,000 characters, a scan per chunk, the share of chunks that are released whole,
and how the time of each grows as a text doubles up to a million characters.
"""

import asyncio
import re
import time
from collections.abc import Callable

from parley_services.guardrails.checks import Checks
from parley_services.guardrails.guardrails import Guardrails
from parley_services.guardrails.offload import Offload, OffloadBounds
from parley_services.guardrails.policy.policy_file import default_policy, load_policies
from parley_services.guardrails.rules import ALL_RULES
from parley_services.guardrails.streams.scan_rules import OutputContext
from parley_services.kit.chat.input_source import InputText
from parley_services.kit.clock import SystemClock
from rich.console import Console
from rich.table import Table

PROSE = (
    "The committee met on Tuesday to discuss three proposals, and after a long debate it chose "
    "the second one. Its chair said, with some relief, that it would cost 40 percent less than "
    "the first; nobody asked how the figure of 12,500 dollars had been found. In the afternoon "
    "the members visited the new library, which opens in March and will hold some 80,000 books. "
    "They were shown the reading room, the archive and a small cafe on the roof from which one "
    "sees the harbour. "
)
HOSTILE = {
    "prose": PROSE,
    "digits": "4111 1111 1111 1112 ",
    "one word": "a",
    "base64": "aGVsbG8gd29ybGQg",
    "e-mail": "a.b@c.",
    "accounts": "DE89 3704 0044 0532 0130 00 ",
    "injection": "ignore all the previous ",
    "escapes": "%20&#32;",
}
ROUNDS = 7


def least_seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the least CPU time of *rounds* runs of *work*."""
    times = []
    for _ in range(rounds):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def scan(checks: Checks, pieces: list[str]) -> int:
    """Scan *pieces* and return how many of them were released whole and at once."""
    scanner = checks.scan_output(OutputContext())
    whole = sum(scanner.feed(piece) == [piece] for piece in pieces)
    scanner.end()
    return whole


def main() -> None:
    console = Console()
    checks = Checks(default_policy(), ALL_RULES)
    text = (PROSE * 4)[:1000]
    repeated = 50
    seconds = least_seconds(
        lambda: [checks.check_input([InputText(text=text)]) for _ in range(repeated)]
    )
    console.print(f"check of 1,000 characters of input: {seconds / repeated * 1e6:.0f} us")
    for name, pieces in {
        "words with the space after them": re.findall(r"\S+ ", PROSE * 20),
        "words with the space before them": re.findall(r" ?\S+", PROSE * 20),
        "four characters": re.findall(r"(?s).{1,4}", PROSE * 20),
    }.items():
        seconds = least_seconds(lambda pieces=pieces: scan(checks, pieces))
        share = scan(checks, pieces) / len(pieces)
        console.print(
            f"scan by {name}: {seconds / len(pieces) * 1e6:.1f} us a chunk, "
            f"{share:.1%} released whole at once"
        )
    table = Table(
        title="milliseconds for a text of so many characters: input check, scan in one piece"
    )
    sizes = [2**14, 2**16, 2**18, 2**20]
    for title in ("text", *(f"{size:,}" for size in sizes)):
        table.add_column(title, justify="left" if title == "text" else "right")
    for name, pattern in HOSTILE.items():
        cells = []
        for size in sizes:
            whole = (pattern * (size // len(pattern) + 1))[:size]
            given = [InputText(text=whole)]
            check = least_seconds(lambda given=given: checks.check_input(given), 1)
            scanned = least_seconds(lambda whole=whole: scan(checks, [whole]), 1)
            cells.append(f"{check * 1e3:.0f}, {scanned * 1e3:.0f}")
        table.add_row(name, *cells)
    console.print(table)
    lag = asyncio.run(longest_pause())
    console.print(f"longest pause of the event loop, a million digits judged: {lag * 1e3:.0f} ms")


async def longest_pause() -> float:
    """Return the longest time that the loop did not turn while a thread judged a text."""
    offload = Offload(OffloadBounds())
    policies = load_policies(None, ALL_RULES)
    guardrails = Guardrails(policies, ALL_RULES, SystemClock(), offload)
    texts = [InputText(text=(HOSTILE["digits"] * (2**20 // 20))[: 2**20])]
    check = asyncio.ensure_future(guardrails.check_input(texts, tenant_id="", template=""))
    longest, last = 0.0, time.perf_counter()
    while not check.done():
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    await check
    offload.close()
    return longest


if __name__ == "__main__":
    main()
