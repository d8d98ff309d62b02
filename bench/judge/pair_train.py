"""Train the pair judge: MiniLM as a cross-encoder on question pairs and on traps made by rule.

python -m bench.judge.pair_train WORK [EPOCHS]   (PARLEY_BENCH_DATA names the data's folder)
"""

import pickle
import random
import sys
from pathlib import Path

import jax
import numpy as np
from tokenizers import Tokenizer

from bench.cache_data import Pair, question_pairs
from bench.judge import base_minilm, pair_traps
from bench.judge.encoder import Params, Shape, head
from bench.judge.report import say
from bench.judge.training import Example, predict, train

SHAPE = Shape(held=2)
BUCKETS = (24, 32, 48, 96)
TRAINED = 40_000
LONGEST = 46


def split() -> tuple[list[Pair], list[Pair]]:
    """Return the first 40,000 pairs, and those of the rest whose two questions are in neither."""
    pairs = question_pairs()
    seen = {text.lower() for pair in pairs[:TRAINED] for text in (pair.one, pair.other)}
    rest = [p for p in pairs[TRAINED:] if not {p.one.lower(), p.other.lower()} & seen]
    return pairs[:TRAINED], rest


def encode(tokenizer: Tokenizer, one: str, other: str, same: bool) -> Example:
    """Return the tokens of a pair, each text cut after 46 tokens."""
    left = tokenizer.encode(one, add_special_tokens=False).ids[:LONGEST]
    right = tokenizer.encode(other, add_special_tokens=False).ids[:LONGEST]
    ids = [101, *left, 102, *right, 102]
    types = [0] * (len(left) + 2) + [1] * (len(right) + 1)
    return Example(ids=ids, types=types, target=int(same))


def hits_at(scores: np.ndarray, same: np.ndarray, shares: tuple[float, ...]) -> dict[float, float]:
    """Return the share of duplicates above the score that lets `share` of the others pass."""
    found = {}
    for share in shares:
        floor = np.quantile(scores[~same], 1 - share)
        found[share] = float((scores[same] > floor).mean())
    return found


def main() -> None:
    """Train, print the hits on pairs held out, keep the parameters."""
    work, epochs = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
    frozen, trained, file = base_minilm.read(work / "base")
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    trained |= head(jax.random.key(5), SHAPE.hidden, 2)
    known, rest = split()
    made = pair_traps.rows("train", 7_000, seed=11)
    examples = [encode(tokenizer, p.one, p.other, p.same) for p in known]
    examples += [encode(tokenizer, one, other, same) for one, other, same, _ in made]
    random.Random(3).shuffle(examples)
    probe = [encode(tokenizer, p.one, p.other, p.same) for p in rest[:1500]]
    same = np.array([p.same for p in rest[:1500]])

    def check(params: Params) -> str:
        scores = predict(frozen, params, probe, SHAPE, BUCKETS)[:, 1]
        return str(hits_at(scores, same, (0.01, 0.02, 0.05)))

    say(len(examples), "pairs", len(rest), "held out")
    start = work / "pair_start.pkl"
    if start.exists():
        trained = pickle.loads(start.read_bytes())
        say("goes on from", start)
    train(
        frozen,
        trained,
        examples,
        SHAPE,
        out=work / "pair.pkl",
        epochs=epochs,
        size=64,
        buckets=BUCKETS,
        rate=8e-5 if not start.exists() else 6e-5,
        seed=20261128 + start.exists(),
        every=50,
        check=check,
    )


if __name__ == "__main__":
    main()
