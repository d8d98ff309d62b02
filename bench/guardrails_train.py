"""
Trains the classifiers of the guardrails. `python -m bench.guardrails_train [NAME ...]`

Reads public data sets from PARLEY_BENCH_DATA, measures by five-fold cross-validation, in
which near-copies of a text stay in one fold, and writes the weights that are learnt from
all texts to services/guardrails/models. What it prints is about texts that the measured
model had not seen. Needs the dependency group `bench`.
"""

import sys
import zlib
from collections import defaultdict
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import normalize

from bench.guardrails_texts import LabelledText, injection_texts, moderation_texts
from services.guardrails.classifier import features
from services.guardrails.rule import BLOCK_FROM, FLAG_FROM

MODELS = Path("services/guardrails/models")
FOLDS = 5
MIN_TEXTS_WITH_FEATURE = 3
MAX_FEATURES = 40_000
SMALLEST_WEIGHT = 0.02

TASKS = {
    "injection": injection_texts,
    "hate": lambda: moderation_texts(("H", "H2", "HR")),
    "violence": lambda: moderation_texts(("V", "V2")),
    "self_harm": lambda: moderation_texts(("SH",)),
}


def main() -> None:
    console = Console()
    for name in sys.argv[1:] or TASKS:
        texts = TASKS[name]()
        labels = np.array([each.label for each in texts])
        margins = out_of_fold_margins(texts, labels)
        slope, shift = calibration(margins, labels)
        probabilities = 1 / (1 + np.exp(-(slope * margins + shift)))
        report(console, name, texts, labels, probabilities)
        vectorizer = new_vectorizer()
        model = fit(vectorizer.fit_transform([each.text for each in texts]), labels)
        write(MODELS / f"{name}.txt", vectorizer, model, slope, shift)


def new_vectorizer() -> CountVectorizer:
    return CountVectorizer(
        analyzer=lambda text: list(features(text)),
        min_df=MIN_TEXTS_WITH_FEATURE,
        max_features=MAX_FEATURES,
        binary=True,
    )


def fit(counts: csr_matrix, labels: np.ndarray) -> LogisticRegression:
    model = LogisticRegression(C=30, max_iter=2000, class_weight="balanced")
    return model.fit(normalized(counts), labels)


def normalized(counts: csr_matrix) -> csr_matrix:
    return normalize(counts.astype(float))


def fold_of(text: str) -> int:
    """Return the fold of *text*: that of its beginning, which near-copies share."""
    beginning = " ".join(text.lower().split())[:40]
    return zlib.crc32(beginning.encode()) % FOLDS


def out_of_fold_margins(texts: list[LabelledText], labels: np.ndarray) -> np.ndarray:
    folds = np.array([fold_of(each.text) for each in texts])
    margins = np.zeros(len(texts))
    for fold in range(FOLDS):
        vectorizer = new_vectorizer()
        seen, held_out = folds != fold, np.flatnonzero(folds == fold)
        counts = vectorizer.fit_transform(
            [each.text for each, is_in in zip(texts, seen, strict=True) if is_in]
        )
        model = fit(counts, labels[seen])
        held = vectorizer.transform([texts[index].text for index in held_out])
        margins[held_out] = model.decision_function(normalized(held))
    return margins


def calibration(margins: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return slope and shift of Platt's scaling (Platt 1999)."""
    model = LogisticRegression(C=1e6).fit(margins.reshape(-1, 1), labels)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


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


def write(
    path: Path, vectorizer: CountVectorizer, model: LogisticRegression, slope: float, shift: float
) -> None:
    bias = slope * float(model.intercept_[0]) + shift
    lines = [f"{bias:.4f}".encode()]
    for feature, index in sorted(vectorizer.vocabulary_.items()):
        weight = slope * float(model.coef_[0, index])
        if abs(weight) >= SMALLEST_WEIGHT:
            lines.append(f"{weight:.3f} ".encode() + feature)
    path.write_bytes(b"\n".join(lines) + b"\n")


if __name__ == "__main__":
    main()
