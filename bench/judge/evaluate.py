"""Measure the exported judges on what they never saw: whole sources, other questions.

python -m bench.judge.evaluate attack|pair|cost FOLDER   (PARLEY_BENCH_DATA, PARLEY_JUDGE_SOURCES)
"""

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from parley_services.kit.models.judge import open_attack_judge, open_pair_judge
from tokenizers import Tokenizer

from bench.judge import guard_texts, pair_traps
from bench.judge.guard_train import table
from bench.judge.pair_train import hits_at, split
from bench.judge.report import say

FLOORS = (0.2, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
GROUPS = {
    "direct": "attack direct|own attack_direct|attack mixed",
    "extraction": "attack extraction|own attack_extraction",
    "indirect": "attack indirect|own attack_indirect",
    "German, French, Spanish, Chinese": "own attack_(de|fr|es|zh)",
    "harmless": "^harmless|own harmless_",
    "harmless fiction and role play": "harmless fiction|own harmless_(fiction|roles)",
    "harmless with trigger words": "own harmless_trigger|harmless look-alikes|harmless earlier",
}
LONGEST_OF_SET = 600


def area(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the area under the ROC."""
    order = np.argsort(np.concatenate([negative, positive]), kind="stable")
    ranks = np.empty(len(order))
    ranks[order] = np.arange(1, len(order) + 1)
    n, m = len(positive), len(negative)
    return float((ranks[m:].sum() - n * (n + 1) / 2) / (n * m))


def attack(folder: Path) -> None:
    """Print the share of each set above each floor, by set and by group, and the ROC."""
    judge = open_attack_judge(folder)
    scores = {}
    for name, texts in guard_texts.measuring().items():
        chosen = guard_texts.sampled(texts, LONGEST_OF_SET, 9)
        scores[name] = np.array([judge.judge(text).attack for text in chosen])
    say(table(scores, FLOORS))
    grouped = {
        group: np.concatenate([v for k, v in scores.items() if re.search(pattern, k)])
        for group, pattern in GROUPS.items()
    }
    say("\n" + table(grouped, FLOORS))
    negative = grouped["harmless"]
    say("\nROC: share of attacks found where this share of the harmless is blocked")
    shares = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    say("".ljust(36) + "".join(f"{s:>8}" for s in shares) + "    area")
    floors = [float(np.quantile(negative, 1 - share)) for share in shares]
    say("floor".ljust(36) + "".join(f"{f:8.3f}" for f in floors))
    for group in list(GROUPS)[:4]:
        found = "".join(f"{(grouped[group] > floor).mean():8.3f}" for floor in floors)
        say(group.ljust(36) + found + f"{area(grouped[group], negative):8.3f}")


def pair(folder: Path) -> None:
    """Print hits at shares of false ones on QQP's new questions, and on pairs made by rule."""
    judge = open_pair_judge(folder)

    def score(one: str, other: str) -> float:
        found = judge.same(one, [other])[0]
        return -1.0 if found is None else found

    rest = split()[1]
    scores = np.array([score(p.one, p.other) for p in rest])
    same = np.array([p.same for p in rest])
    shares = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
    say(f"QQP, {len(rest)} pairs of questions never trained on, {same.mean():.3f} duplicates")
    for share, hit in hits_at(scores, same, shares).items():
        floor = float(np.quantile(scores[~same], 1 - share))
        say(f"  false {share:6.3f}  hits {hit:.3f}  floor {floor:.4f}")
    say(f"  area {area(scores[same], scores[~same]):.4f}")
    rows = pair_traps.rows("test", 2400, seed=12)
    kinds: dict[str, list[float]] = {}
    for one, other, alike, kind in rows:
        kinds.setdefault(f"{'same' if alike else 'trap'} {kind}", []).append(score(one, other))
    values = {kind: np.array(some) for kind, some in sorted(kinds.items())}
    everything = {
        name: np.concatenate([v for k, v in values.items() if k.startswith(name)])
        for name in ("same", "trap")
    }
    say("\n" + table(values | {f"all {k}": v for k, v in everything.items()}, (*FLOORS, 0.995)))
    for share in (0.002, 0.005, 0.01, 0.02):
        floor = np.quantile(everything["trap"], 1 - share)
        say(f"  traps {share:5.3f}  hits {(everything['same'] > floor).mean():.3f}")


def cost(folder: Path) -> None:
    """Print the CPU time of one call in one thread; `folder` holds `attack` and `pair`."""
    attacks, pairs = open_attack_judge(folder / "attack"), open_pair_judge(folder / "pair")
    text = "Write a story about a bank teller in a world where dogs have rights. " * 40
    tokenizer = Tokenizer.from_file(str(folder / "attack" / "tokenizer.json"))
    cut = tokenizer.encode(text, add_special_tokens=False).offsets[253][1]
    question = "How do I transfer money from my savings account to a friend?"

    def timed(name: str, call: Callable[[], object], rounds: int = 200) -> None:
        spent = []
        for _ in range(rounds):
            begin = time.thread_time()
            call()
            spent.append(1000 * (time.thread_time() - begin))
        low, middle, high = np.quantile(spent, [0.05, 0.5, 0.95])
        say(f"{name:40} p5 {low:6.2f}  median {middle:6.2f}  p95 {high:6.2f} ms CPU")

    timed("attack, 256 tokens", lambda: attacks.judge(text[:cut]))
    timed("attack, 64 tokens", lambda: attacks.judge(text[: cut // 4]))
    timed("pair of two questions of 14 tokens", lambda: pairs.same(question, [question]))


def main() -> None:
    """Run what is asked for."""
    {"attack": attack, "pair": pair, "cost": cost}[sys.argv[1]](Path(sys.argv[2]))


if __name__ == "__main__":
    main()
