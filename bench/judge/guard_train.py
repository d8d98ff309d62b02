"""Train the judge of attacks on merged tokens of multilingual-e5-small.

python -m bench.judge.guard_train WORK [EPOCHS]   (PARLEY_BENCH_DATA, PARLEY_JUDGE_SOURCES)
"""

import pickle
import random
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

from bench.judge import base_e5, sources
from bench.judge.encoder import Params, Shape, head
from bench.judge.guard_texts import CLASSES, HARMFUL, HARMLESS, LANGUAGES, measuring, training
from bench.judge.report import say
from bench.judge.training import Example, predict, train

SHAPE = Shape(patch=4)
KEPT = (0, 2, 5, 8)
VOCABULARY = 36_000
LENGTH = 256
BUCKETS = (32, 64, 128, 256)


def encode(tokenizer: Tokenizer, text: str) -> list[list[int]]:
    """Return the windows of a text: 254 tokens each between two marks, half overlapping."""
    ids = tokenizer.encode(text[:20_000], add_special_tokens=False).ids
    size = LENGTH - 2
    starts = range(0, max(len(ids) - size // 2, 1), size // 2)
    return [[0, *ids[at : at + size], 2] for at in starts]


def examples_of(tokenizer: Tokenizer, texts: list[tuple[str, int]]) -> list[Example]:
    """Return one example a text, of a long one two: its first window and one at random."""
    draw, found = random.Random(4), []
    for text, label in texts:
        windows = encode(tokenizer, text)
        chosen = [windows[0]]
        if len(windows) > 2:
            chosen.append(draw.choice(windows[1:]))
        for ids in chosen:
            found.append(Example(ids=ids, types=[0] * len(ids), target=label))
    return found


def scores_of(
    frozen: Params, trained: Params, tokenizer: Tokenizer, texts: list[str]
) -> np.ndarray:
    """Return each text's probabilities: those of its most suspicious window of the first eight."""
    windows, owner = [], []
    for i, text in enumerate(texts):
        for ids in encode(tokenizer, text)[:8]:
            windows.append(Example(ids=ids, types=[0] * len(ids), target=0))
            owner.append(i)
    rows = predict(frozen, trained, windows, SHAPE, BUCKETS)
    out = np.zeros((len(texts), len(CLASSES)))
    worst = np.full(len(texts), -1.0)
    for i, row in zip(owner, rows, strict=True):
        attack = 1 - row[HARMLESS] - row[HARMFUL]
        if attack > worst[i]:
            worst[i], out[i] = attack, row
    return out


def attack_score(rows: np.ndarray) -> np.ndarray:
    """Return the probability that a text is an attack of any kind."""
    return 1 - rows[:, HARMLESS] - rows[:, HARMFUL]


def table(scores: dict[str, np.ndarray], floors: tuple[float, ...]) -> str:
    """Return the share of each set above each floor."""
    lines = ["floor".ljust(58) + "".join(f"{f:>8}" for f in floors)]
    for name, values in scores.items():
        shares = "".join(f"{(values >= floor).mean():8.3f}" for floor in floors)
        lines.append(f"{name} ({len(values)})".ljust(58) + shares)
    return "\n".join(lines)


def fresh(work: Path, corpus: list[str]) -> tuple[Params, Params, Tokenizer]:
    """Return base weights with a new head; vocabulary and frozen part are kept in `work`."""
    corpus = corpus + [text for language in LANGUAGES for text in sources.handbook(language)]
    frozen, trained, tokenizer = base_e5.read(work / "w", corpus, VOCABULARY, KEPT)
    tokenizer.save(str(work / "guard_tokenizer.json"))
    (work / "guard_frozen.pkl").write_bytes(pickle.dumps(frozen))
    h, key = SHAPE.hidden, jax.random.key(6)
    trained |= head(key, h, len(CLASSES)) | {
        "conv_w": jax.random.normal(key, (2 * SHAPE.patch * h, h)) * 0.01,
        "conv_b": jnp.zeros(h),
        "conv_ln_g": jnp.array(trained["ln_g"]),
        "conv_ln_b": jnp.array(trained["ln_b"]),
    }
    return frozen, trained, tokenizer


def main() -> None:
    """Train, print each set held out, keep parameters and tokenizer."""
    work, epochs = Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else 1.5
    texts = training()
    start = work / "guard_start.pkl"
    if start.exists():
        say("goes on from", start)
        frozen = pickle.loads((work / "guard_frozen.pkl").read_bytes())
        trained = pickle.loads(start.read_bytes())
        tokenizer = Tokenizer.from_file(str(work / "guard_tokenizer.json"))
    else:
        frozen, trained, tokenizer = fresh(work, [text for text, _ in texts])
    examples = examples_of(tokenizer, texts)
    lengths = [len(e.ids) for e in examples]
    counts = {name: sum(e.target == i for e in examples) for i, name in enumerate(CLASSES)}
    say(len(examples), "examples", counts, np.percentile(lengths, [25, 50, 75]))
    held = measuring()
    probe = {name: some[:60] for name, some in held.items() if "own harmless_" not in name}

    def check(params: Params) -> str:
        rows = {n: attack_score(scores_of(frozen, params, tokenizer, t)) for n, t in probe.items()}
        return "\n" + table(rows, (0.5, 0.9))

    trained = train(
        frozen,
        trained,
        examples,
        SHAPE,
        out=work / "guard.pkl",
        epochs=epochs,
        size=128,
        buckets=BUCKETS,
        rate=2e-4 if not start.exists() else 1.6e-4,
        seed=20261128 + start.exists(),
        head_rate=4.0,
        every=50,
        check=check,
    )


if __name__ == "__main__":
    main()
