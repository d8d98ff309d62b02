"""The second embedder with a session that is made by hand; no ONNX runtime is needed."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import wordllama
from parley_services.semantic_cache.embed.embedder import EmbedderUnavailable
from parley_services.semantic_cache.embed.onnx import OnnxEmbedder, OnnxMissing, open_onnx_embedder
from tokenizers import Tokenizer

TOKENIZER = Path(wordllama.__file__).parent / "tokenizers/l2_supercat_tokenizer_config.json"


class Session:
    """Gives each token a vector by its id. *goes* holds calls back; *fails* raises in them."""

    def __init__(self, *, inputs=("input_ids", "attention_mask"), pooled=False, fails=False):
        self.inputs = inputs
        self.pooled = pooled
        self.fails = fails
        self.goes = threading.Event()
        self.goes.set()
        self.feeds = []

    def get_inputs(self):
        return [SimpleNamespace(name=name) for name in self.inputs]

    def run(self, output_names, input_feed):
        self.goes.wait()
        self.feeds.append(input_feed)
        if self.fails:
            raise RuntimeError("the runtime's own")
        ids = input_feed["input_ids"].astype(np.float32)
        states = np.stack([np.cos(ids), np.sin(ids)], axis=-1)
        return [states.mean(axis=1) if self.pooled else states]


@pytest.fixture
def calls():
    with ThreadPoolExecutor(max_workers=1) as calls:
        yield calls


@pytest.fixture
def build(calls):
    def build(session, *, limit_seconds=5.0):
        tokenizer = Tokenizer.from_file(str(TOKENIZER))
        return OnnxEmbedder(session, tokenizer, calls, limit_seconds=limit_seconds)

    return build


async def test_the_same_words_are_near_and_others_are_not(build):
    embedder = build(Session())
    assert await embedder.cosine("reset it", "reset it") == pytest.approx(1.0, abs=1e-6)
    assert await embedder.cosine("reset it", "a haiku about autumn") < 0.99


async def test_a_text_is_made_once(build):
    session = Session()
    embedder = build(session)
    await embedder.cosine("one", "two")
    await embedder.cosine("two", "three")
    assert len(session.feeds) == 3


async def test_only_the_inputs_that_the_model_has_are_fed(build):
    with_types = Session(inputs=("input_ids", "attention_mask", "token_type_ids"))
    for session in (Session(), with_types):
        await build(session).cosine("one", "two")
        assert set(session.feeds[0]) == set(session.inputs)


async def test_a_model_that_pools_itself_gives_the_same(build):
    one, other = "reset my password", "reset your password"
    by_hand = await build(Session()).cosine(one, other)
    assert await build(Session(pooled=True)).cosine(one, other) == pytest.approx(by_hand, abs=1e-5)


async def test_a_model_that_fails_is_away(build):
    with pytest.raises(EmbedderUnavailable):
        await build(Session(fails=True)).cosine("one", "two")


async def test_a_slow_model_is_given_up_and_its_vectors_are_there_later(build):
    session = Session()
    embedder = build(session, limit_seconds=0.02)
    session.goes.clear()
    with pytest.raises(EmbedderUnavailable, match="too long"):
        await embedder.cosine("one", "two")
    session.goes.set()
    # One thread: what comes after in it comes after in time.
    await embedder_idle(embedder)
    assert -1.0 <= await embedder.cosine("one", "two") <= 1.0
    assert len(session.feeds) == 2


async def embedder_idle(embedder):
    await asyncio.wrap_future(embedder._calls.submit(lambda: None))
    await asyncio.sleep(0)


def test_without_the_extra_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with (
        pytest.raises(OnnxMissing, match=r"parley-suite\[onnx\]"),
        open_onnx_embedder(tmp_path, limit_seconds=1.0),
    ):
        pass


class Runtime:
    """Stands for the module onnxruntime."""

    def __init__(self):
        self.opened = []

    SessionOptions = SimpleNamespace

    def InferenceSession(self, path, options, providers):
        self.opened.append((path, options.intra_op_num_threads, providers))
        return Session()


async def test_it_opens_the_folder_with_one_thread(monkeypatch, tmp_path):
    runtime = Runtime()
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    (tmp_path / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    with open_onnx_embedder(tmp_path, limit_seconds=5.0) as embedder:
        await embedder.cosine("one", "two")
    assert runtime.opened == [(str(tmp_path / "model.onnx"), 1, ["CPUExecutionProvider"])]


def test_a_folder_without_a_model_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", Runtime())
    with (
        pytest.raises(OnnxMissing, match=r"model\.onnx"),
        open_onnx_embedder(tmp_path, limit_seconds=1.0),
    ):
        pass
