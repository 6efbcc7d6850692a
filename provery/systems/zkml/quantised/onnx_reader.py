"""From an ONNX file to a network of layers that can be quantised; whatever cannot be is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx

from provery.core.errors import InvalidInput
from provery.systems.zkml.quantised import lower_elementwise, lower_linear, lower_moves
from provery.systems.zkml.quantised.lowering import Lowering, Node, Tensor, Value
from provery.systems.zkml.quantised.network import Network, count, folded, pruned
from provery.systems.zkml.quantised.onnx_file import (
    SIZE_LIMIT,
    constant,
    input_of,
    is_float_tensor,
    operator,
    opset,
    parse,
)

OPERATORS: Mapping[str, Callable[[Lowering, Node], Value]] = {
    "Add": lower_elementwise.arithmetic,
    "AveragePool": lower_linear.pool,
    "BatchNormalization": lower_elementwise.batch_normalization,
    "Cast": lower_elementwise.cast,
    "Clip": lower_elementwise.clip,
    "Concat": lower_moves.concat,
    "Constant": lower_moves.constant_node,
    "ConstantOfShape": lower_moves.constant_of_shape,
    "Conv": lower_linear.conv,
    "Div": lower_elementwise.arithmetic,
    "Dropout": lower_moves.identity,
    "Expand": lower_moves.expand,
    "Flatten": lower_moves.flatten,
    "Gather": lower_moves.gather,
    "Gemm": lower_linear.gemm,
    "GlobalAveragePool": lower_linear.global_pool,
    "GlobalMaxPool": lower_linear.global_pool,
    "Identity": lower_moves.identity,
    "MatMul": lower_linear.matmul,
    "MaxPool": lower_linear.pool,
    "Mul": lower_elementwise.arithmetic,
    "Relu": lower_elementwise.relu,
    "Reshape": lower_moves.reshape,
    "Shape": lower_moves.shape,
    "Sigmoid": lower_elementwise.curve,
    "Slice": lower_moves.slice_,
    "Softmax": lower_elementwise.softmax,
    "Squeeze": lower_moves.squeeze,
    "Sub": lower_elementwise.arithmetic,
    "Tanh": lower_elementwise.curve,
    "Transpose": lower_moves.transpose,
    "Unsqueeze": lower_moves.unsqueeze,
    "ai.onnx.ml.Scaler": lower_elementwise.scaler,
    "ai.onnx.ml.ZipMap": lower_moves.identity,
}
"""What is supported, by the name of the operator."""
OUTPUTS_LIMIT = 2**14


def read_model(data: bytes, limit: int = SIZE_LIMIT) -> Network:
    """The network of an ONNX file.

    The output is the file's first one that is a floating-point tensor, or columns of one that were given names
    (ZipMap): labels, which classifiers put first, are passed over. What this output does not need is not looked at.

    Args:
        data: The file's bytes; nothing else is read.
        limit: Bytes that it may have.

    Raises:
        InvalidInput: the file is damaged, or has something unsupported; the message names node and operator.
    """
    model = parse(data, limit)
    return network_of(model)


def network_of(model: onnx.ModelProto) -> Network:
    """The network of a parsed file; otherwise as :func:`read_model`."""
    makers = {name: node for node in model.graph.node for name in node.output if name}
    place = next(
        (
            place
            for place, output in enumerate(model.graph.output)
            if is_float_tensor(output)
            or (output.name in makers and operator(makers[output.name]) == "ai.onnx.ml.ZipMap")
        ),
        None,
    )
    if place is None:
        names = [output.name for output in model.graph.output]
        raise InvalidInput("no output is a floating-point tensor", value=names[:10])
    wanted = model.graph.output[place].name
    nodes = _needed(model, wanted)
    _refuse_unsupported(nodes)
    input_name, input_shape = input_of(model)
    net = Lowering(input_shape)
    values: dict[str, Value] = {}
    read = {name for node in nodes for name in node.input} | {wanted}
    for tensor in model.graph.initializer:
        if tensor.name in read:
            values[tensor.name] = constant(tensor)
            net.spend(values[tensor.name].size, "the file")  # type: ignore[union-attr]
    values[input_name] = Tensor(0, input_shape)
    for proto in nodes:
        node = Node(proto, values, opset(model))
        try:
            made = OPERATORS[node.operator](net, node)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Shapes that no model has, such as axes of a number without any.
            node.refuse(f"impossible: {type(error).__name__}: {error}")
        node.done()
        values[next(name for name in proto.output if name)] = made
    result = values.get(wanted)
    if not isinstance(result, Tensor):
        raise InvalidInput(f"output {wanted[:80]!r} does not depend on the input")
    if not 1 <= count(result.shape) <= OUTPUTS_LIMIT:
        expected = f"1 to {OUTPUTS_LIMIT} numbers: each is a public value of a proof"
        raise InvalidInput(f"output {wanted[:80]!r} does not fit", value=result.shape, expected=expected)
    network = Network(
        input_name=input_name,
        input_shape=input_shape,
        output_name=_before_names(makers, wanted),
        output_shape=result.shape,
        layers=tuple(net.layers),
        output=result.number,
        operators=tuple(sorted({operator(node) for node in nodes})),
        passed_over=tuple(output.name for output in model.graph.output[:place]),
    )
    return folded(pruned(network))


def _needed(model: onnx.ModelProto, wanted: str) -> list[onnx.NodeProto]:
    """Nodes that an output depends on, in order."""
    needed, names = [], {wanted}
    for node in reversed(model.graph.node):
        if names.intersection(node.output):
            needed.append(node)
            names.update(name for name in node.input if name)
    return needed[::-1]


def _refuse_unsupported(nodes: list[onnx.NodeProto]) -> None:
    for node in nodes:
        if operator(node) not in OPERATORS:
            raise InvalidInput(
                f"operator {operator(node)[:80]} of node {(node.name or node.output[0])[:80]!r} is not supported",
                expected=", ".join(OPERATORS),
                action="use a model of these operators, or the ezkl prover",
            )


def _before_names(makers: Mapping[str, onnx.NodeProto], name: str) -> str:
    """The tensor whose columns ZipMap gives names to."""
    maker = makers.get(name)
    return maker.input[0] if maker is not None and operator(maker) == "ai.onnx.ml.ZipMap" else name
