"""``python -m cyconv``: run the layers on a photograph and a sound, or convolve arrays from files."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

import cyconv
from cyconv import layers, ops
from cyconv._check import bound, reference

Array = NDArray[Any]
LUMA = np.array([0.299, 0.587, 0.114])  # how much each of R, G, B adds to brightness (ITU-R BT.601)
SAMPLE_RATE = 44100  # of the sound, in Hz
ROW = "{:34s}{:>21s}{:>8s}{:>12s}{:>9s}{:>11s}{:>9s}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 done, 1 a layer deviates, 2 bad arguments or files."""
    parser = _parser()
    args = parser.parse_args(argv)
    if args.input is None:
        return demonstrate()
    if not args.kernel or args.output is None:
        parser.error("INPUT, KERNEL and -o OUT are all needed to convolve files")
    try:
        print(convolve_files(args))
    except (OSError, ValueError, TypeError, MemoryError, OverflowError) as error:
        parser.error(" ".join(str(error).split()) or type(error).__name__)
    return 0


# ---------------------------------------------------------------- the layers on real input


def demonstrate() -> int:
    """Show the configuration, run each layer on real input against float64, and return 1 if one deviates."""
    cyconv.show_config()
    photo = _asset("photo.npy").astype(np.float32)[np.newaxis] / np.float32(255)
    sound = _asset("sound.npy").astype(np.float32)[np.newaxis, :, np.newaxis] / np.float32(32768)
    print(f"\nphoto {photo.shape[1:]}, sound {sound.shape[1:]}: layers in float32 against NumPy in float64\n")
    print(ROW.format("layer (type)", "output shape", "params", "time", "GFLOP/s", "deviation", "allowed"))
    good = [_run(*job) for job in (edges(photo), smoothing(photo), colours(photo), pitches(sound))]
    print("\nall within the bound of rounding" if all(good) else "\nDEVIATES: a result is outside its bound")
    return 0 if all(good) else 1


Job = tuple[Any, Array, list[Array], dict[str, Any]]  # layer, input, weights, options of `reference`


def edges(photo: Array) -> Job:
    """Return 32 Gabor filters, 8 directions at 2 wavelengths and 2 phases, on the photo's brightness."""
    y, x = np.mgrid[-5:6, -5:6].astype(np.float64)
    bank = []
    for wavelength in (4.0, 8.0):
        for angle in np.arange(8) * np.pi / 8:
            along = x * np.cos(angle) + y * np.sin(angle)
            envelope = np.exp(-(x**2 + y**2) / (2 * (0.4 * wavelength) ** 2))
            for phase in (0.0, np.pi / 2):
                wave = np.cos(2 * np.pi * along / wavelength + phase)
                wave -= (wave * envelope).sum() / envelope.sum()  # flat areas answer 0
                bank.append(envelope * wave / abs(envelope * wave).sum())
    kernel = np.stack(bank, axis=-1)[:, :, np.newaxis, :] * LUMA[:, np.newaxis]
    layer = layers.Conv2D(32, 11, padding="same", name="gabor_edges")
    return layer, photo, [kernel, np.zeros(32)], {"padding": "same"}


def smoothing(photo: Array) -> Job:
    """Return a blur, two Sobel slopes and a Laplacian for each colour by itself."""
    blur = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    slope = np.outer([1, 4, 6, 4, 1], [-1, -2, 0, 2, 1]) / 96
    laplacian = -blur
    laplacian[2, 2] += 1
    kernel = np.stack([blur, slope, slope.T, laplacian], axis=-1)[:, :, np.newaxis, :].repeat(3, axis=2)
    layer = layers.DepthwiseConv2D(5, depth_multiplier=4, padding="same", name="blur_and_slopes")
    return layer, photo, [kernel, np.zeros(12)], {"depthwise": True, "padding": "same"}


def colours(photo: Array) -> Job:
    """Return brightness, blueness and redness (YCbCr, ITU-R BT.601) of a blurred photo of half the size."""
    gauss = np.exp(-(np.arange(-3, 4) ** 2) / 4.5)
    blur = np.outer(gauss, gauss) / gauss.sum() ** 2
    blueness = (np.array([0, 0, 1]) - LUMA) / 1.772
    redness = (np.array([1, 0, 0]) - LUMA) / 1.402
    pointwise = np.stack([LUMA, blueness, redness], axis=-1)[np.newaxis, np.newaxis]
    depthwise = blur[:, :, np.newaxis, np.newaxis].repeat(3, axis=2)
    layer = layers.SeparableConv2D(3, 7, strides=2, padding="same", name="blurred_colours")
    return layer, photo, [depthwise, pointwise, np.array([0, 0.5, 0.5])], {"strides": 2, "padding": "same"}


def pitches(sound: Array) -> Job:
    """Return 64 windowed waves, from 200 Hz to 12 kHz in equal ratios, every 64 samples of the sound."""
    seconds = np.arange(512) / SAMPLE_RATE
    frequencies = np.geomspace(200, 12000, 64)
    kernel = np.hanning(512)[:, np.newaxis] * np.sin(2 * np.pi * np.outer(seconds, frequencies)) / 128
    layer = layers.Conv1D(64, 512, strides=64, padding="causal", name="pitches")
    return layer, sound, [kernel[:, np.newaxis, :], np.zeros(64)], {"strides": 64, "padding": "causal"}


def _run(layer: Any, inputs: Array, weights: list[Array], options: dict[str, Any]) -> bool:
    """Run one layer, print its line, and return whether it is within its bound."""
    layer.build(inputs.shape)
    layer.set_weights([w.astype(np.float32) for w in weights])
    *kernels, bias = layer.get_weights()
    outputs = layer(inputs)
    seconds = _time(lambda: layer(inputs, out=outputs))
    wanted = reference(inputs, tuple(kernels), bias, **options)
    error = abs(outputs - wanted)
    allowed = bound(inputs, tuple(kernels), bias, **options)
    flops = 2 * outputs[..., 0].size * sum(k.size for k in kernels)
    cells = (
        f"{layer.name} ({type(layer).__name__})",
        str((None, *outputs.shape[1:])),
        str(layer.count_params()),
        f"{seconds * 1e6:.1f} us",
        f"{flops / seconds / 1e9:.1f}",
        f"{error.max():.1e}",
        f"{allowed.max():.1e}",
    )
    print(ROW.format(*cells))
    return outputs.shape == wanted.shape and bool((error <= allowed).all())


def _time(call: Callable[[], object]) -> float:
    """Return the seconds of the fastest of the calls that fit in a tenth of a second, ten at least."""
    times: list[float] = []
    while len(times) < 10 or sum(times) < 0.1:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _asset(name: str) -> Array:
    with (files("cyconv") / "data" / name).open("rb") as file:
        return _read(file)


# ---------------------------------------------------------------- arrays from files


def convolve_files(args: argparse.Namespace) -> str:
    """Convolve the arrays of files, write the result, and return a line about it."""
    inputs, *kernels = (_load(path) for path in (args.input, *args.kernel))
    wanted = 2 if args.op == "separable" else 1
    if len(kernels) != wanted:
        raise ValueError(f"--op {args.op} takes {wanted} kernel file(s), received {len(kernels)}")
    options: dict[str, Any] = {"data_format": args.data_format, "activation": args.activation}
    options["bias"] = None if args.bias is None else _load(args.bias)
    if args.op != "pointwise":
        options |= {"strides": args.strides, "padding": args.padding, "dilation_rate": args.dilation_rate}
    elif (args.strides, args.padding, args.dilation_rate) != (1, "valid", 1):
        raise ValueError("--op pointwise takes no --strides, --padding or --dilation-rate")
    start = time.perf_counter()
    outputs = OPS[args.op](inputs, *kernels, **options)
    seconds = time.perf_counter() - start
    with open(args.output, "wb") as file:
        np.lib.format.write_array(file, outputs, allow_pickle=False)
    return f"{args.output}: {outputs.dtype} {outputs.shape}, {seconds * 1e3:.3f} ms"


OPS: dict[str, Callable[..., Array]] = {
    "conv": ops.conv,
    "depthwise": ops.depthwise_conv,
    "pointwise": ops.pointwise_conv,
    "separable": ops.separable_conv,
}


def _load(path: str) -> Array:
    with open(path, "rb") as file:
        try:
            return _read(file)
        except OSError:
            raise
        except Exception as error:  # whatever NumPy's reader of headers makes of bad ones, tokenizer errors too
            raise ValueError(f"{path} is not a .npy file of numbers: {error}") from None


def _read(file: Any) -> Array:
    """Read a .npy file. Nothing in it is ever executed: pickled objects are refused."""
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _ints(text: str) -> int | tuple[int, ...]:
    """Parse "2" or "2,1"."""
    values = tuple(int(part) for part in text.split(","))
    return values if len(values) > 1 else values[0]


def _padding(text: str) -> str | int | tuple[tuple[int, int], ...]:
    """Parse "same", "2", or "1:0,2:2", a pair of (before, after) for each axis."""
    if text.isalpha():
        return text
    if ":" not in text:
        return int(text)
    pairs = [tuple(int(number) for number in pair.split(":")) for pair in text.split(",")]
    return tuple((before, after) for before, after in pairs)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Leave with one line on standard error."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m cyconv",
        description="Without arguments: run cyconv's layers on a photograph and a sound, each checked "
        "against float64. With files: convolve INPUT with KERNEL and write the result.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"cyconv {cyconv.__version__}")
    parser.add_argument("input", nargs="?", metavar="INPUT", help=".npy array (batch, *spatial, channels)")
    parser.add_argument("kernel", nargs="*", metavar="KERNEL", help=".npy array (*window, channels, filters)")
    parser.add_argument("-o", "--output", metavar="OUT", help="the .npy file to write")
    parser.add_argument("--op", choices=[*OPS], default="conv", help="default: conv; separable takes two KERNELs")
    parser.add_argument("--strides", type=_ints, default=1, metavar="N[,N]")
    padding = "valid, same, causal, N, or before and after of each axis: B:A[,B:A]"
    parser.add_argument("--padding", type=_padding, default="valid", metavar="PADDING", help=padding)
    parser.add_argument("--dilation-rate", type=_ints, default=1, metavar="N[,N]")
    parser.add_argument("--data-format", choices=["channels_last", "channels_first"])
    parser.add_argument("--bias", metavar="FILE", help=".npy array (filters,)")
    parser.add_argument("--activation", metavar="NAME")
    return parser


if __name__ == "__main__":
    sys.exit(main())
