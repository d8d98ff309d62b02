"""The judges: windows, bounds, failures that have a name."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from parley_services.kit.models.judge import (
    AttackJudge,
    JudgeBroken,
    JudgeFailed,
    JudgeMissing,
    PairJudge,
    open_attack_judge,
    open_pair_judge,
)
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = ["<s>", "<pad>", "</s>", "<unk>", "calm", "evil", "word"]
EVIL = WORDS.index("evil")


def tokenizer() -> Tokenizer:
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    built = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.Whitespace()
    return built


class EvilSession:
    """Gives `evil` among the tokens the probability *score*, anything else none."""

    def __init__(self, score: float = 0.9, classes: int = 5) -> None:
        self.score = score
        self.classes = classes
        self.lengths: list[int] = []
        self.inputs: list[dict[str, Any]] = []

    def run(self, names: Any, inputs: Mapping[str, Any]) -> list[Any]:
        self.inputs.append(dict(inputs))
        self.lengths.append(inputs["ids"].shape[1])
        row = np.zeros((1, self.classes), np.float32)
        row[0, 1] = self.score if EVIL in inputs["ids"] else 0.0
        row[0, 0] = 1 - row[0, 1]
        return [row]


class ThrowingSession:
    def run(self, names: Any, inputs: Mapping[str, Any]) -> list[Any]:
        raise RuntimeError("out of memory")


def test_a_short_text_is_one_window_of_a_multiple_of_four() -> None:
    session = EvilSession()
    scores = AttackJudge(session, tokenizer()).judge("an evil word")
    assert session.lengths == [8]
    assert session.inputs[0]["mask"].sum() == 5
    assert scores.attack == pytest.approx(0.9)
    assert (scores.window_count, scores.judged_window_count) == (1, 1)


def test_an_empty_text_is_judged() -> None:
    scores = AttackJudge(EvilSession(), tokenizer()).judge("")
    assert scores.harmless == 1.0
    assert (scores.start, scores.end) == (0, 0)


def test_the_worst_window_of_a_long_text_counts_and_is_named() -> None:
    text = "calm " * 300 + "evil " + "calm " * 300
    session = EvilSession()
    scores = AttackJudge(session, tokenizer()).judge(text)
    assert scores.attack == pytest.approx(0.9)
    assert "evil" in text[scores.start : scores.end]
    assert max(session.lengths) == 256


def test_no_more_windows_than_allowed_the_first_and_the_last_among_them() -> None:
    text = "evil " + "calm " * 5000 + "evil"
    for limit in (2, 3, 8):
        session = EvilSession()
        scores = AttackJudge(session, tokenizer()).judge(text, max_windows=limit)
        assert len(session.lengths) == limit == scores.judged_window_count
        assert scores.window_count > 30
        assert EVIL in session.inputs[0]["ids"]
        assert EVIL in session.inputs[-1]["ids"]


def test_the_most_suspicious_windows_come_first() -> None:
    text = "calm " * 3000 + "evil " + "calm " * 3000
    session = EvilSession()
    scores = AttackJudge(session, tokenizer()).judge(
        text, max_windows=1, suspicion=lambda part: part.count("evil")
    )
    assert scores.attack == pytest.approx(0.9)
    assert len(session.lengths) == 1


def test_judging_ends_when_it_is_sure() -> None:
    session = EvilSession()
    AttackJudge(session, tokenizer()).judge("evil " * 2000, enough=0.5)
    assert len(session.lengths) == 1


def test_no_window_allowed_is_a_failure() -> None:
    with pytest.raises(JudgeFailed):
        AttackJudge(EvilSession(), tokenizer()).judge("calm", max_windows=0)


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_probability_that_is_not_finite_is_a_failure(score: float) -> None:
    with pytest.raises(JudgeFailed):
        AttackJudge(EvilSession(score), tokenizer()).judge("evil")
    with pytest.raises(JudgeFailed):
        PairJudge(EvilSession(score), tokenizer()).same("evil", ["calm"])


def test_inference_that_throws_is_a_failure_without_its_text() -> None:
    with pytest.raises(JudgeFailed) as caught:
        AttackJudge(ThrowingSession(), tokenizer()).judge("evil")
    assert "memory" not in str(caught.value)


def test_each_candidate_is_judged_and_a_long_one_is_not() -> None:
    judge = PairJudge(EvilSession(classes=2), tokenizer())
    found = judge.same("evil word", ["calm", "word " * 47, "word " * 46])
    assert found == [pytest.approx(0.9), None, pytest.approx(0.9)]
    assert judge.same("word " * 47, ["calm"]) == [None]
    assert judge.same("word", []) == []


def test_the_second_question_has_its_own_type() -> None:
    session = EvilSession(classes=2)
    PairJudge(session, tokenizer()).same("calm word", ["evil"])
    assert session.inputs[0]["types"].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for opened in (open_attack_judge, open_pair_judge):
        with pytest.raises(JudgeMissing, match=r"model\.onnx"):
            opened(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(JudgeMissing, match=r"tokenizer\.json"):
        open_attack_judge(tmp_path)


class Options:
    intra_op_num_threads = 0
    inter_op_num_threads = 0
    log_severity_level = 0


def runtime(session: Any) -> ModuleType:
    """Return a module that stands for onnxruntime and opens *session* for any readable file."""
    module = ModuleType("onnxruntime")

    def opened(path: str, options: Options, providers: list[str], **rest: Any) -> Any:
        if not Path(path).read_bytes().startswith(b"good"):
            raise RuntimeError("protobuf parsing failed")
        assert options.intra_op_num_threads == options.inter_op_num_threads == 1
        return session

    vars(module).update(SessionOptions=Options, InferenceSession=opened)
    return module


def folder(path: Path, *, model: bytes = b"good", words: str | None = None) -> Path:
    (path / "model.onnx").write_bytes(model)
    (path / "tokenizer.json").write_text(tokenizer().to_str() if words is None else words)
    return path


def test_without_the_extra_the_judge_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(JudgeMissing, match="onnx"):
        open_attack_judge(folder(tmp_path))


@pytest.mark.parametrize("broken", [{"model": b"bad"}, {"words": "{"}])
def test_a_file_that_cannot_be_read_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: dict[str, Any]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime(EvilSession()))
    for opened in (open_attack_judge, open_pair_judge):
        with pytest.raises(JudgeBroken):
            opened(folder(tmp_path, **broken))


@pytest.mark.parametrize("session", [ThrowingSession(), EvilSession(math.nan), EvilSession()])
def test_a_model_that_does_not_fit_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Any
) -> None:
    if isinstance(session, EvilSession) and not math.isnan(session.score):
        session = EvilSession(classes=3)
    elif isinstance(session, EvilSession):
        session.run = lambda names, inputs: [np.full((1, 5), math.nan, np.float32)]  # type: ignore[method-assign]
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime(session))
    with pytest.raises(JudgeBroken):
        open_attack_judge(folder(tmp_path))


def test_an_opened_judge_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime(EvilSession()))
    assert open_attack_judge(folder(tmp_path)).judge("evil").attack == pytest.approx(0.9)
    assert open_pair_judge(folder(tmp_path)).same("evil", ["calm"]) == [pytest.approx(0.9)]
