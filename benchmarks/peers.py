"""One layer in each library, at its best: its own layout, constant weights, own output buffer, bias added.

A peer is a function of (problem, threads) that returns (run, result): `run` is what is timed, `result` gives
its outputs as a channels-last array, to be checked.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from layers import LAYERS, Layer

import cyconv
from cyconv._check import reference
from cyconv.geometry import geometry

Timed = tuple[Callable[[], Any], Callable[[], np.ndarray]]


class Unsupported(Exception):
    """The library has no such layer."""


class Step(NamedTuple):
    """A grouped convolution. A depthwise one has a group for each channel; a separable layer is two steps."""

    kernel: np.ndarray  # (*window, channels // groups, filters)
    groups: int
    bias: np.ndarray | None
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]


class Problem(NamedTuple):
    """A layer with its arrays; `weights` are those that cyconv's layer takes."""

    layer: Layer
    inputs: np.ndarray
    weights: list[np.ndarray]
    steps: list[Step]
    expected: np.ndarray  # in float64
    flops: int


@lru_cache(maxsize=2)
def problem(name: str) -> Problem:
    """Return the layer of that name on random numbers."""
    layer = LAYERS[name]
    op, shape, window, filters, strides, dilation_rate, padding, groups = layer
    rng = np.random.default_rng(0)

    def random(*size):
        return rng.standard_normal(size, np.float32) / math.sqrt(math.prod(size[:-1]))

    rank, channels = len(window), shape[-1]
    inputs = rng.standard_normal(shape, np.float32)
    if op == "conv":
        weights = [random(*window, channels // groups, filters)]
    else:
        weights = [random(*window, channels, filters if op == "dw" else 1)]
    if op == "sep":
        weights.append(random(*(1,) * rank, channels, filters))
    bias = random(channels * filters if op == "dw" else filters)

    g = geometry(
        "conv" if op == "conv" else "depthwise",
        shape,
        weights[0].shape,
        strides,
        padding,
        None,
        dilation_rate,
    )
    kernel = weights[0] if op == "conv" else weights[0].reshape(*window, 1, g.filters)
    # Not the geometry's strides, which are smaller where they lead out of the input at once: "same" depends on them.
    first = ((strides,) * rank, (dilation_rate,) * rank, g.pads[2 - rank :])
    steps = [Step(kernel, g.groups, None if op == "sep" else bias, *first)]
    if op == "sep":
        steps.append(Step(weights[1], 1, bias, (1,) * rank, (1,) * rank, ((0, 0),) * rank))

    options = {
        "strides": strides,
        "padding": padding,
        "dilation_rate": dilation_rate,
        "depthwise": op == "dw",
    }
    parts = zip(np.split(inputs, groups, -1), np.split(weights[0], groups, -1))
    expected = np.concatenate([reference(x, (k, *weights[1:]), **options) for x, k in parts], -1) + bias
    flops = 2 * math.prod(expected.shape[:-1]) * sum(step.kernel.size for step in steps)
    return Problem(layer, inputs, [*weights, bias], steps, expected, flops)


def check(outputs: np.ndarray, p: Problem) -> None:
    """Refuse a peer that computes something else."""
    error = abs(outputs - p.expected).max() / abs(p.expected).max()
    assert error < 1e-5, f"relative error {error:.1e}"


# ---------------------------------------------------------------- the libraries


def with_cyconv(p: Problem, threads: int) -> Timed:
    """cyconv's layer, writing to the same array again."""
    layer, rank = p.layer, len(p.layer.window)
    kinds = {"conv": "Conv", "dw": "DepthwiseConv", "sep": "SeparableConv"}
    options: dict[str, Any] = {
        "strides": layer.strides,
        "padding": layer.padding,
        "dilation_rate": layer.dilation_rate,
    }
    if layer.op == "dw":
        options |= {"kernel_size": layer.window, "depth_multiplier": layer.filters}
    else:
        options |= {"filters": layer.filters, "kernel_size": layer.window}
    if layer.op == "conv":
        options["groups"] = layer.groups
    cyconv.set_num_threads(threads)
    made = getattr(cyconv.layers, f"{kinds[layer.op]}{rank}D")(**options)
    made.build(p.inputs.shape)
    made.set_weights(p.weights)
    outputs = made(p.inputs)
    return lambda: made(p.inputs, out=outputs), lambda: made(p.inputs)


def with_torch(p: Problem, threads: int, channels_last: bool = False) -> Timed:
    """PyTorch's modules in inference mode, in either of its memory formats."""
    import torch

    if channels_last and len(p.layer.window) == 1:
        raise Unsupported("channels_last is for images")
    torch.set_num_threads(threads)
    modules: list[torch.nn.Module] = []
    for step in p.steps:
        rank = len(step.strides)
        kernel = torch.from_numpy(first(step.kernel, -1, -2))
        symmetric = all(a == b for a, b in step.pads)
        if not symmetric:
            zeros = torch.nn.ConstantPad1d if rank == 1 else torch.nn.ConstantPad2d
            modules.append(zeros(tuple(n for pair in reversed(step.pads) for n in pair), 0.0))
        conv = (torch.nn.Conv1d if rank == 1 else torch.nn.Conv2d)(
            kernel.shape[1] * step.groups,
            kernel.shape[0],
            kernel.shape[2:],
            stride=step.strides,
            padding=tuple(a for a, _ in step.pads) if symmetric else 0,
            dilation=step.dilation_rate,
            groups=step.groups,
            bias=step.bias is not None,
        )
        conv.load_state_dict({"weight": kernel, **({} if step.bias is None else {"bias": torch.from_numpy(step.bias)})})
        modules.append(conv)
    net = torch.nn.Sequential(*modules).eval()
    inputs = torch.from_numpy(first(p.inputs, 0, -1))
    if channels_last:
        net, inputs = net.to(memory_format=torch.channels_last), inputs.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run():
        return net(inputs)

    return run, lambda: np.moveaxis(run().numpy(), 1, -1)


def with_torch_last(p: Problem, threads: int) -> Timed:
    """PyTorch in its channels_last memory format."""
    return with_torch(p, threads, channels_last=True)


def with_onnxruntime(p: Problem, threads: int) -> Timed:
    """ONNX Runtime's CPU provider, inputs and outputs bound."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []
    for i, step in enumerate(p.steps):
        named = {f"w{i}": first(step.kernel, -1, -2)} | ({} if step.bias is None else {f"b{i}": step.bias})
        constants += [numpy_helper.from_array(array, name) for name, array in named.items()]
        attributes = {
            "group": step.groups,
            "strides": step.strides,
            "dilations": step.dilation_rate,
            "pads": [a for a, _ in step.pads] + [b for _, b in step.pads],
        }
        nodes.append(helper.make_node("Conv", [f"x{i}", *named], [f"x{i + 1}"], **attributes))
    inputs = first(p.inputs, 0, -1)
    last = f"x{len(p.steps)}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x0", inputs.shape), (last, None))
    ]
    graph = helper.make_graph(nodes, "layer", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"x0": inputs})[0]
    value = onnxruntime.OrtValue.ortvalue_from_numpy(outputs)
    binding = session.io_binding()
    binding.bind_cpu_input("x0", inputs)
    binding.bind_ortvalue_output(last, value)
    return lambda: session.run_with_iobinding(binding), lambda: np.moveaxis(session.run(None, {"x0": inputs})[0], 1, -1)


def with_litert(p: Problem, threads: int) -> Timed:
    """LiteRT's interpreter, which runs XNNPACK. A sequence is an image of one row."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=litert_model(p), num_threads=threads)
    interpreter.allocate_tensors()
    place = interpreter.get_input_details()[0]["index"]
    interpreter.set_tensor(place, p.inputs.reshape(image(p.inputs.shape)))
    out = interpreter.get_output_details()[0]["index"]
    interpreter.invoke()

    def result():
        interpreter.invoke()
        return interpreter.get_tensor(out).reshape(p.expected.shape)

    return interpreter.invoke, result


def litert_model(p: Problem) -> bytes:
    """Return the layer as a model file, written with the schema that LiteRT ships."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], [schema.BufferT()], []
    graph.tensors, graph.operators, graph.inputs = [], [], [0]

    def tensor(shape, data=None):
        made = schema.TensorT()
        made.shape, made.name = list(shape), f"t{len(graph.tensors)}"
        made.type = (
            schema.TensorType.INT32 if data is not None and data.dtype == np.int32 else schema.TensorType.FLOAT32
        )
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(data.tobytes(), np.uint8)
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    def operator(code, options, inputs, shape):
        kind, operation = schema.OperatorCodeT(), schema.OperatorT()
        kind.builtinCode = kind.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, code)
        name = type(options).__name__.removesuffix("T")
        operation.builtinOptionsType, operation.builtinOptions = getattr(schema.BuiltinOptions, name), options
        operation.opcodeIndex, operation.inputs, operation.outputs = (
            len(model.operatorCodes),
            inputs,
            [tensor(shape)],
        )
        model.operatorCodes.append(kind)
        graph.operators.append(operation)
        return operation.outputs[0]

    current = tensor(image(p.inputs.shape))
    for i, step in enumerate(p.steps):
        depthwise = i == 0 and p.layer.op != "conv"
        rank = len(step.strides)
        same = i == 0 and p.layer.padding == "same"
        if not same and any(map(any, step.pads)):
            pads = np.array([(0, 0)] * (3 - rank) + [*step.pads, (0, 0)], np.int32)
            shape = [n + a + b for n, (a, b) in zip(graph.tensors[current].shape, pads.tolist())]
            current = operator("PAD", schema.PadOptionsT(), [current, tensor(pads.shape, pads)], shape)
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH, options.strideW = ((1, *step.strides))[-2:]
        options.dilationHFactor, options.dilationWFactor = ((1, *step.dilation_rate))[-2:]
        if depthwise:
            options.depthMultiplier = step.kernel.shape[-1] // step.groups
        kernel = step.kernel.reshape(((1, *step.kernel.shape))[-4:])
        kernel = np.moveaxis(kernel, -2 if depthwise else -1, 0)  # (1, h, w, filters) or (filters, h, w, channels)
        bias = np.zeros(step.kernel.shape[-1], np.float32) if step.bias is None else step.bias
        arrays = [tensor(a.shape, a) for a in (np.ascontiguousarray(kernel), bias)]
        shape = (*image(p.expected.shape)[:-1], step.kernel.shape[-1])
        current = operator("DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", options, [current, *arrays], shape)
    graph.outputs = [current]
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def with_scipy(p: Problem, threads: int) -> Timed:
    """scipy.signal.correlate, one call for each image and filter; strides are taken from the whole result."""
    from scipy.signal import correlate

    if len(p.steps) > 1 or p.layer.groups > 1 or p.flops * math.prod(p.steps[0].strides) > 1e8:
        raise Unsupported("SciPy correlates single images, single-threaded: left out where that takes seconds")
    kernel, groups, bias, strides, dilation_rate, pads = p.steps[0]
    spread = np.zeros((*((k - 1) * d + 1 for k, d in zip(kernel.shape, dilation_rate)), *kernel.shape[-2:]), np.float32)
    spread[tuple(slice(None, None, d) for d in dilation_rate)] = kernel
    padded = np.pad(p.inputs, [(0, 0), *pads, (0, 0)])
    kept = tuple(slice(None, None, s) for s in strides)

    def run():
        return np.stack([np.stack([one(x, f) for f in range(kernel.shape[-1])], -1) for x in padded])

    def one(x, f):
        if groups > 1:
            channel = f // (kernel.shape[-1] // groups)
            return correlate(x[..., channel], spread[..., 0, f], "valid")[kept] + bias[f]
        return correlate(x, spread[..., f], "valid")[..., 0][kept] + bias[f]

    return run, run


def first(array: np.ndarray, *axes: int) -> np.ndarray:
    """Return a copy with those axes first."""
    return np.ascontiguousarray(np.moveaxis(array, axes, range(len(axes))))


def image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape with one row where there are none."""
    return shape if len(shape) == 4 else (shape[0], 1, *shape[1:])


class Peer(NamedTuple):
    """A library: the package that must be installed, and how it runs a layer."""

    package: str
    start: Callable[[Problem, int], Timed]


PEERS = {
    "cyconv": Peer("cyconv", with_cyconv),
    "torch": Peer("torch", with_torch),
    "torch_last": Peer("torch", with_torch_last),
    "onnxruntime": Peer("onnxruntime", with_onnxruntime),
    "litert": Peer("ai_edge_litert", with_litert),
    "scipy": Peer("scipy", with_scipy),
}
