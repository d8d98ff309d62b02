"""
What `auto` gains: the cost-quality curve of its score against a random choice.

`python -m bench.router_auto` reads LLMRouter's 5,608 questions, each with the scores of nine
models, from the folder named by PARLEY_BENCH_DATA. It sends the share of questions with the
highest difficulty to the best model and the rest to the best cheap one. A random choice lies
on the straight line between the two; the table shows how far the score is from it.
"""

import json
import os
import sys
from pathlib import Path
from statistics import mean
from typing import Any

from rich.console import Console
from rich.table import Table

from services.model_router.auto import THRESHOLD, difficulty
from services.model_router.generation import GenerationRequest, Message, Role


def difficulty_of(question: str) -> float:
    """Return the score that `auto` gives *question*."""
    message = Message(role=Role.USER, text=question)
    return difficulty(GenerationRequest(request_id="r", messages=(message,)))


def main() -> None:
    """Print the table."""
    root = os.environ.get("PARLEY_BENCH_DATA")
    if not root:
        sys.exit("Set PARLEY_BENCH_DATA to the folder with the recordings.")
    folder = Path(root) / "llmrouter9"
    rows: list[dict[str, Any]] = json.loads((folder / "dcrouter_train.json").read_text())
    prices = json.loads((folder / "default_llm.json").read_text())
    price = {name: prices[name]["input_price"] for name in rows[0]["scores"]}
    quality = {name: mean(row["scores"][name] for row in rows) for name in price}
    large = max(quality, key=lambda name: quality[name])
    cheap = [name for name in price if price[name] < price[large]]
    small = max(cheap, key=lambda name: quality[name])
    console = Console()
    console.print(
        f"small {small}: {quality[small]:.3f} at ${price[small]}; "
        f"large {large}: {quality[large]:.3f} at ${price[large]}; best choice of the two "
        f"{mean(max(row['scores'][small], row['scores'][large]) for row in rows):.3f}"
    )
    ordered = sorted(rows, key=lambda row: -difficulty_of(row["question"]))
    at_threshold = mean(difficulty_of(row["question"]) >= THRESHOLD for row in rows)
    table = Table("to the large model", "price of the mix", "auto", "random", "gain")
    for share in sorted({0.1, 0.25, 0.5, 0.75, 0.9, at_threshold}):
        cut = int(share * len(ordered))
        scores = [row["scores"][large] for row in ordered[:cut]]
        scores += [row["scores"][small] for row in ordered[cut:]]
        by_chance = share * quality[large] + (1 - share) * quality[small]
        mixed = share * price[large] + (1 - share) * price[small]
        table.add_row(
            f"{share:.1%}{' (threshold)' if share == at_threshold else ''}",
            f"${mixed:.2f}",
            f"{mean(scores):.3f}",
            f"{by_chance:.3f}",
            f"{mean(scores) - by_chance:+.3f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
