"""A BERT encoder as the ONNX graph that ONNX Runtime computes fastest on a CPU, made from its safetensors.

    bert_onnx.py MODEL_FOLDER FP32.onnx [W8A8.onnx]

The graph uses ONNX Runtime's fused operators (EmbedLayerNormalization, Attention, SkipLayerNormalization,
BiasGelu): inputs input_ids and attention_mask (int64, batch x length), output last_hidden_state. The second
file is its dynamic W8A8 form, weights rounded per channel. Needs: numpy onnx onnxruntime safetensors.
"""
import json
import pathlib
import sys

# This folder comes first on Python's path and has a safetensors.py: the package must win.
sys.path.append(sys.path.pop(0))

import numpy as np  # noqa: E402
import onnx  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402


class Graph:
    """Nodes and weights of a graph under construction; every method returns the name of what it made."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, value):
        self.weights.append(onnx.numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def node(self, kind, inputs, output, fused=True, extra_outputs=(), **attributes):
        domain = "com.microsoft" if fused else ""
        self.nodes.append(
            onnx.helper.make_node(kind, inputs, [output, *extra_outputs], domain=domain, **attributes))
        return output

    def model(self, inputs, output, width):
        ints, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
        described = [onnx.helper.make_tensor_value_info(name, ints, ["batch", "length"]) for name in inputs]
        result = onnx.helper.make_tensor_value_info(output, floats, ["batch", "length", width])
        graph = onnx.helper.make_graph(self.nodes, "bert", described, [result], self.weights)
        versions = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("com.microsoft", 1)]
        return onnx.helper.make_model(graph, opset_imports=versions, ir_version=8)


class Bert:
    """The files of a model folder."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = {name.removeprefix("bert."): value
                        for name, value in load_file(folder / "model.safetensors").items()}

    def __getitem__(self, name):
        return self.tensors[name].astype(np.float32)

    def matrix(self, name):
        """Inputs x outputs, where the file has them the other way round."""
        return self[name + ".weight"].T


def add_embeddings(graph, bert):
    def table(name):
        return bert[f"embeddings.{name}.weight"]

    positions = table("position_embeddings") + table("token_type_embeddings")[0]
    for name in ("input_ids", "attention_mask"):
        graph.node("Cast", [name], name + "_32", fused=False, to=onnx.TensorProto.INT32)
    return graph.node(
        "EmbedLayerNormalization",
        ["input_ids_32", "",
         graph.weight("words", table("word_embeddings")), graph.weight("positions", positions), "",
         graph.weight("first_gain", table("LayerNorm")),
         graph.weight("first_shift", bert["embeddings.LayerNorm.bias"])],
        "embedded", extra_outputs=["mask_index"], epsilon=bert.config["layer_norm_eps"])


def add_layer(graph, bert, number, x):
    prefix = f"encoder.layer.{number}."

    def named(part):
        return f"{part}_{number}"

    def dense(part, source, value):
        return graph.node("MatMul", [value, graph.weight(named(part), bert.matrix(prefix + source))],
                          named(part + "_out"), fused=False)

    def skip_norm(part, source, value, residual, output):
        return graph.node(
            "SkipLayerNormalization",
            [value, residual,
             graph.weight(named(part + "_gain"), bert[f"{prefix}{source}.LayerNorm.weight"]),
             graph.weight(named(part + "_shift"), bert[f"{prefix}{source}.LayerNorm.bias"]),
             graph.weight(named(part + "_bias"), bert[f"{prefix}{source}.dense.bias"])],
            named(output), epsilon=bert.config["layer_norm_eps"])

    heads = [f"{prefix}attention.self.{part}" for part in ("query", "key", "value")]
    attended = graph.node(
        "Attention",
        [x, graph.weight(named("qkv"), np.hstack([bert.matrix(head) for head in heads])),
         graph.weight(named("qkv_bias"), np.hstack([bert[head + ".bias"] for head in heads])),
         "attention_mask_32"],
        named("attended"), num_heads=bert.config["num_attention_heads"])
    middle = skip_norm("mix", "attention.output", dense("mix", "attention.output.dense", attended), x, "middle")
    inner = graph.node(
        "BiasGelu",
        [dense("up", "intermediate.dense", middle),
         graph.weight(named("up_bias"), bert[prefix + "intermediate.dense.bias"])],
        named("inner"))
    return skip_norm("down", "output", dense("down", "output.dense", inner), middle, "layer")


def build(folder):
    bert, graph = Bert(folder), Graph()
    x = add_embeddings(graph, bert)
    for number in range(bert.config["num_hidden_layers"]):
        x = add_layer(graph, bert, number, x)
    graph.node("Identity", [x], "last_hidden_state", fused=False)
    return graph.model(["input_ids", "attention_mask"], "last_hidden_state", bert.config["hidden_size"])


def quantise(source, target):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    quantize_dynamic(source, target, per_channel=True, weight_type=QuantType.QInt8,
                     extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT})


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    onnx.save(build(sys.argv[1]), sys.argv[2])
    if len(sys.argv) == 4:
        quantise(sys.argv[2], sys.argv[3])
