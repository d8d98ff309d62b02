"""
Trains the classifiers of the guardrails. `python -m bench.guardrails_train [NAME ...]`

Reads public data sets from PARLEY_BENCH_DATA and texts written for training, measures by
five-fold cross-validation, in which near-copies of a text and texts of one template stay in
one fold, and writes the weights that are learnt from all texts to the guardrails' `models/`.
What it prints is about texts that the measured model had not seen: also one measured without
all in-the-wild jailbreaks, and texts that were held out. Needs the dependency
group `bench`.
"""

import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from functools import cache
from pathlib import Path

import numpy as np
from parley_services.guardrails.classify.classifier import Classifier, Reading, read
from parley_services.guardrails.rule import BLOCK_FROM, FLAG_FROM
from rich.console import Console
from rich.table import Table
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import normalize

from bench.guardrails_texts import (
    LabelledText,
    held_out_texts,
    injection_texts,
    moderation_texts,
)

MODELS = Path("services/parley_services/guardrails/classify/models")
FOLDS = 5
MIN_TEXTS_WITH_FEATURE = 2
MAX_FEATURES = 80_000
SMALLEST_WEIGHT = 0.02
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

ATTACK_SHARE = 0.5
"""Weight of all attacks together, as a share of that of all others."""

SOURCE_WEIGHTS = {
    # Prompts that people write for a living are what is most easily mistaken for an attack.
    "arena hard": 5.0,
    "mt bench": 5.0,
    "xstest": 3.0,
    "bipia wishes": 3.0,
    "moderation": 2.0,
    # Harm in the guise of fiction or research: too much of it, and fiction counts as harm.
    "jailbreakbench PAIR": 0.3,
    "written: briefs": 0.5,
    "written: trigger words": 0.6,
}

TASKS = {
    "injection": injection_texts,
    "hate": lambda: moderation_texts(("H", "H2", "HR")),
    "violence": lambda: moderation_texts(("V", "V2")),
    "self_harm": lambda: moderation_texts(("SH",)),
}
READS_PARTS = ("injection",)
LEFT_OUT = ("in the wild", "dan")


def main() -> None:
    console = Console()
    for name in sys.argv[1:] or TASKS:
        texts = TASKS[name]()
        reads_parts = name in READS_PARTS
        labels = np.array([each.label for each in texts])
        weights = weights_of(texts, labels) if name == "injection" else np.ones(len(texts))
        margins = out_of_fold_margins(texts, labels, weights, reads_parts)
        slope, shift = calibration(margins, labels, weights)
        report(console, name, texts, labels, probability(margins, slope, shift))
        model = trained(texts, labels, weights)
        if name == "injection":
            thresholds(console, texts, labels, probability(margins, slope, shift))
            report_unseen(console, texts, labels, weights, model, (slope, shift))
        write(MODELS / f"{name}.txt", model, slope, shift)


def weights_of(texts: list[LabelledText], labels: np.ndarray) -> np.ndarray:
    """Return what each text counts: near-copies less each, attacks a fixed share in all."""
    groups = [group_of(each) for each in texts]
    counts = Counter(groups)
    weights = np.array(
        [
            SOURCE_WEIGHTS.get(each.source, 1.0) * counts[group] ** -0.3
            for each, group in zip(texts, groups, strict=True)
        ]
    )
    share = ATTACK_SHARE * weights[~labels].sum() / weights[labels].sum()
    return np.where(labels, weights * share, weights)


def group_of(text: LabelledText) -> str:
    """Return what near-copies of *text* share: its template, or how it begins."""
    return text.template or " ".join(text.text.lower().split())[:40]


def fold_of(text: LabelledText) -> int:
    """Return the fold of *text* and its near-copies."""
    return zlib.crc32(group_of(text).encode()) % FOLDS


def trained(texts: list[LabelledText], labels: np.ndarray, weights: np.ndarray) -> Classifier:
    """Return a classifier, not calibrated, that has learnt *texts*."""
    vectorizer = CountVectorizer(
        analyzer=lambda text: list(features(text)),
        min_df=MIN_TEXTS_WITH_FEATURE,
        max_features=MAX_FEATURES,
        binary=True,
    )
    counts = normalize(vectorizer.fit_transform([each.text for each in texts]).astype(float))
    model = LogisticRegression(C=10, solver="liblinear", tol=1e-3, random_state=0)
    model.fit(counts, labels, sample_weight=weights)
    return Classifier(
        weights={
            feature: float(model.coef_[0, index])
            for feature, index in vectorizer.vocabulary_.items()
        },
        bias=float(model.intercept_[0]),
    )


@cache
def reading_of(text: str) -> Reading:
    return read(text)


def features(text: str) -> Set[bytes]:
    return frozenset().union(*reading_of(text).parts)


def margins_of(model: Classifier, texts: Sequence[LabelledText], reads_parts: bool) -> np.ndarray:
    scores = [
        (model.highest_score if reads_parts else model.score)(reading_of(each.text))
        for each in texts
    ]
    # The classifier gives probabilities; the margin is what calibration works on.
    clipped = np.clip(scores, 1e-12, 1 - 1e-12)
    return np.log(clipped / (1 - clipped))


def out_of_fold_margins(
    texts: list[LabelledText], labels: np.ndarray, weights: np.ndarray, reads_parts: bool
) -> np.ndarray:
    folds = np.array([fold_of(each) for each in texts])
    margins = np.zeros(len(texts))
    for fold in range(FOLDS):
        seen, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        model = trained([texts[index] for index in seen], labels[seen], weights[seen])
        margins[held_out] = margins_of(model, [texts[index] for index in held_out], reads_parts)
    return margins


def calibration(
    margins: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[float, float]:
    """Return slope and shift of Platt's scaling (Platt 1999)."""
    model = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), labels, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def probability(margins: np.ndarray, slope: float, shift: float) -> np.ndarray:
    return 1 / (1 + np.exp(-(slope * margins + shift)))


def thresholds(
    console: Console, texts: list[LabelledText], labels: np.ndarray, probabilities: np.ndarray
) -> None:
    """Print what each threshold would do; the thresholds were chosen from this."""
    sources = np.array([each.source for each in texts])
    written = np.char.startswith(sources, "written")
    rows = {
        "in the wild": sources == "in the wild",
        "extraction": sources == "extraction",
        "ordinary, all sets alike": ~labels & ~written,
        "arena hard and mt bench": np.isin(sources, ("arena hard", "mt bench")),
        "innocent trigger words": sources == "written: trigger words",
    }
    table = Table("texts", *(f">= {each}" for each in THRESHOLDS), title="thresholds")
    for title, chosen in rows.items():
        shares = [np.mean(probabilities[chosen] >= each) for each in THRESHOLDS]
        table.add_row(title, *(f"{share:.1%}" for share in shares))
    console.print(table)


def report_unseen(
    console: Console,
    texts: list[LabelledText],
    labels: np.ndarray,
    weights: np.ndarray,
    model: Classifier,
    scale: tuple[float, float],
) -> None:
    """Print what happens to sources that no training has seen."""
    held_out = held_out_texts()
    margins = margins_of(model, held_out, reads_parts=True)
    report(
        console,
        "held out",
        held_out,
        np.array([each.label for each in held_out]),
        probability(margins, *scale),
    )
    is_left_out = np.array([each.source in LEFT_OUT for each in texts])
    seen, unseen = np.flatnonzero(~is_left_out), np.flatnonzero(is_left_out)
    without = trained([texts[index] for index in seen], labels[seen], weights[seen])
    left_out = [texts[index] for index in unseen]
    found = probability(margins_of(without, left_out, reads_parts=True), *scale)
    for threshold in (FLAG_FROM, BLOCK_FROM):
        share = np.mean(found >= threshold)
        console.print(f"in the wild, all of it unseen: {share:.1%} at {threshold} or more")


def report(
    console: Console,
    name: str,
    texts: list[LabelledText],
    labels: np.ndarray,
    probabilities: np.ndarray,
) -> None:
    table = Table(
        title=f"{name}: ROC AUC {roc_auc_score(labels, probabilities):.3f}, "
        f"average precision {average_precision_score(labels, probabilities):.3f}"
    )
    for title in ("set", "belongs", "texts", f"flagged >= {FLAG_FROM}", f"blocked >= {BLOCK_FROM}"):
        table.add_column(title, justify="left" if title == "set" else "right")
    groups = defaultdict(list)
    for each, probability in zip(texts, probabilities, strict=True):
        groups[each.source, each.label].append(probability)
    for (source, label), found in sorted(groups.items()):
        flagged = np.mean(np.array(found) >= FLAG_FROM)
        blocked = np.mean(np.array(found) >= BLOCK_FROM)
        table.add_row(source, str(label), str(len(found)), f"{flagged:.1%}", f"{blocked:.1%}")
    console.print(table)


def write(path: Path, model: Classifier, slope: float, shift: float) -> None:
    lines = [f"{slope * model.bias + shift:.4f}".encode()]
    for feature, weight in sorted(model.weights.items()):
        if abs(slope * weight) >= SMALLEST_WEIGHT:
            lines.append(f"{slope * weight:.3f} ".encode() + feature)
    path.write_bytes(b"\n".join(lines) + b"\n")


if __name__ == "__main__":
    main()
