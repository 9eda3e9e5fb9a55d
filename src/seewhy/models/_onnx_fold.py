"""Takes a checked ONNX graph, gives a copy whose constants are computed, renamed and all inside; never changes what it
computes."""

from __future__ import annotations

from typing import Any

from seewhy.models._onnx_file import OnnxFile, import_onnx

__all__ = ["fold_constants"]

#: nodes whose value is drawn anew each time
_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")


def fold_constants(file: OnnxFile) -> Any:
    """A copy of the graph, external data read in, with every node that reads constants alone replaced by its value.

    Exporters write the arithmetic of shapes and paddings into the graph; as layers those would only be in the way.
    """
    onnx = import_onnx("onnx")
    graph = type(file.graph)()
    graph.CopyFrom(file.graph)
    if file.external:
        onnx.load_external_data_for_model(graph, str(file.path.parent.resolve()))
    main = graph.graph
    for node in main.node:  # onnxruntime leaves an active dropout out when it only predicts
        if node.op_type == "Dropout" and len(node.input) > 2:
            node.input[2] = ""
    constant = {tensor.name for tensor in main.initializer}
    folded = []
    for at, node in enumerate(main.node):
        inner = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if not inner and node.op_type not in _RANDOM and all(name in constant or not name for name in node.input):
            folded.append(at)
            constant.update(node.output)
    if folded:
        _replace(onnx, graph, folded)
    # older files list their weights among the inputs too
    given = {tensor.name for tensor in main.initializer}
    inputs = [value for value in main.input if value.name not in given]
    del main.input[:]
    main.input.extend(inputs)
    return graph


def _replace(onnx: Any, graph: Any, numbers: list[int]) -> None:
    """The values of the nodes with these numbers as initializers, computed by onnxruntime."""
    main = graph.graph
    nodes = [type(node).FromString(node.SerializeToString()) for node in main.node]
    folded = [nodes[at] for at in numbers]
    left = [node for at, node in enumerate(nodes) if at not in set(numbers)]
    computed = {name for node in folded for name in node.output if name}
    wanted = sorted(computed & ({n for node in left for n in node.input} | {value.name for value in main.output}))
    small = type(graph)(ir_version=graph.ir_version, opset_import=graph.opset_import)
    small.graph.name = "constants"
    small.graph.node.extend(folded)
    read = {name for node in folded for name in node.input}
    small.graph.initializer.extend(tensor for tensor in main.initializer if tensor.name in read)
    for name in wanted:
        small.graph.output.add().name = name
    if wanted:
        runtime = import_onnx("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        session = runtime.InferenceSession(small.SerializeToString(), options, providers=["CPUExecutionProvider"])
        for name, value in zip(wanted, session.run(wanted, {}), strict=True):
            main.initializer.append(onnx.numpy_helper.from_array(value, name))
    del main.node[:]
    main.node.extend(left)
