"""Initializers: the first values of a weight, from its shape, a distribution and a seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cyconv.arrays import as_array
from cyconv.geometry import shown
from cyconv.registry import Configurable, Registry

REGISTRY = Registry("initializer", "keras.initializers")
serialize = REGISTRY.serialize

Axes = Sequence[int] | None


def get(identifier: object, argument: str = "initializer") -> Any:
    """Return the initializer that ``identifier`` stands for; an array stands for :class:`Constant`."""
    if isinstance(identifier, np.ndarray):
        return Constant(as_array(identifier, argument))
    return REGISTRY.get(identifier, argument)


class Initializer(Configurable):
    """Base of the initializers: a function of a shape and a dtype that returns an array."""

    def __call__(self, shape: Sequence[int], dtype: npt.DTypeLike | None = None) -> npt.NDArray[Any]:
        """Return an array of ``shape`` and of ``dtype`` (default float32)."""
        values = self._values(tuple(shape))
        return np.array(values, np.float32 if dtype is None else dtype, order="C")

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype)")


@REGISTRY.add("zeros", "zero")
class Zeros(Initializer):
    """All 0."""

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return np.zeros(shape)


@REGISTRY.add("ones", "one")
class Ones(Initializer):
    """All 1."""

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return np.ones(shape)


@REGISTRY.add("constant")
class Constant(Initializer):
    """One value everywhere, or given values.

    Parameters
    ----------
    value : float or array_like
        A number, or an array of the weight's own shape.

    Examples
    --------
    >>> Constant(3)((2,)).tolist()
    [3.0, 3.0]
    """

    def __init__(self, value: npt.ArrayLike = 0.0) -> None:
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise TypeError(f"value must be a real number or an array of them, received {shown(value)}")
        self.value = value if array.ndim == 0 else array.copy()

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        array = np.asarray(self.value)
        if array.shape not in ((), shape):
            raise ValueError(f"value must be a number or of the weight's shape {shape}, received shape {array.shape}")
        return np.broadcast_to(array, shape)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor's argument; an array in Keras's form."""
        value = self.value
        if isinstance(value, np.ndarray):
            config = {"value": value.tolist(), "dtype": value.dtype.name}
            return {"value": {"class_name": "__numpy__", "config": config}}
        return {"value": value.item() if isinstance(value, np.generic) else value}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Constant:
        """Return an instance from what :meth:`get_config` returned."""
        value = config["value"]
        if isinstance(value, Mapping):
            stored = np.asarray(value["config"]["value"])
            value = stored.astype(np.float32 if value["config"].get("dtype") == "float32" else np.float64)
        return cls(value)


@REGISTRY.add("identity", "IdentityInitializer")
class Identity(Initializer):
    """The identity matrix; for the kernel of a convolution, the one that returns its input.

    A kernel ``(*window, channels, filters)`` has the matrix at the tap that "same" padding puts on the
    output's own place, and 0 at the others. Keras takes matrices only.

    Parameters
    ----------
    gain : float
        Factor of the matrix.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        if len(shape) < 2:
            raise ValueError(f"identity initializer needs at least 2 axes, received shape {shape}")
        values = np.zeros(shape)
        values[tuple((size - 1) // 2 for size in shape[:-2])] = self.gain * np.eye(shape[-2], shape[-1])
        return values


class RandomInitializer(Initializer):
    """Base of the random ones.

    Parameters
    ----------
    seed : int, numpy.random.Generator or None
        With an int or None an initializer gives the same values at each call, as in Keras; None is another
        seed for each initializer. A generator gives new values at each call.
    """

    def __init__(self, seed: Any = None) -> None:
        if isinstance(seed, Mapping):  # Keras's SeedGenerator
            seed = seed.get("config", {}).get("seed")
        self.seed = seed
        if seed is None:
            self._source: Any = np.random.SeedSequence().entropy
        elif isinstance(seed, np.random.Generator):
            self._source = seed
        elif isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
            self._source = int(seed) % 2**64
        else:
            raise TypeError(f"seed must be an int, a numpy.random.Generator or None, received {shown(seed)}")

    def _generator(self) -> np.random.Generator:
        return np.random.default_rng(self._source)


@REGISTRY.add("random_normal", "normal")
class RandomNormal(RandomInitializer):
    """Normal distribution.

    Parameters
    ----------
    mean, stddev : float
    seed : int, numpy.random.Generator or None
        As for :class:`RandomInitializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return self._generator().normal(self.mean, self.stddev, shape)


@REGISTRY.add("truncated_normal")
class TruncatedNormal(RandomNormal):
    """Normal distribution with everything beyond two standard deviations drawn again.

    Parameters
    ----------
    mean, stddev : float
        Before truncation.
    seed : int, numpy.random.Generator or None
        As for :class:`RandomInitializer`.
    """

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return self.mean + self.stddev * _truncated_normal(self._generator(), shape)


@REGISTRY.add("random_uniform", "uniform")
class RandomUniform(RandomInitializer):
    """Uniform distribution over ``minval`` .. ``maxval``.

    Parameters
    ----------
    minval, maxval : float
    seed : int, numpy.random.Generator or None
        As for :class:`RandomInitializer`.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: Any = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        return self._generator().uniform(self.minval, self.maxval, shape)


@REGISTRY.add("variance_scaling")
class VarianceScaling(RandomInitializer):
    """Mean 0 and variance ``scale / n``, where n counts a weight's inputs, its outputs, or averages the two.

    Parameters
    ----------
    scale : float
        Positive.
    mode : {"fan_in", "fan_out", "fan_avg"}
        What n is; see :func:`fans`.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        "normal" is the truncated one. The variance is that of the values after truncation.
    seed : int, numpy.random.Generator or None
        As for :class:`RandomInitializer`.
    input_axes, output_axes : sequence of int, optional
        As for :func:`fans`.
    """

    MODES = ("fan_in", "fan_out", "fan_avg")
    DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: Any = None,
        input_axes: Axes = None,
        output_axes: Axes = None,
    ) -> None:
        super().__init__(seed)
        if not scale > 0:
            raise ValueError(f"scale must be positive, received {shown(scale)}")
        distribution = {"normal": "truncated_normal"}.get(str(distribution).lower(), str(distribution).lower())
        self.scale = scale
        self.mode = _one_of(self.MODES, mode, "mode")
        self.distribution = _one_of(self.DISTRIBUTIONS, distribution, "distribution")
        self.input_axes = input_axes
        self.output_axes = output_axes

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        fan_in, fan_out = fans(shape, self.input_axes, self.output_axes)
        n = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        stddev = math.sqrt(self.scale / max(n, 1))
        generator = self._generator()
        if self.distribution == "uniform":
            limit = math.sqrt(3) * stddev
            return generator.uniform(-limit, limit, shape)
        if self.distribution == "untruncated_normal":
            return generator.normal(0, stddev, shape)
        return stddev / TRUNCATED_STDDEV * _truncated_normal(generator, shape)


class _Preset(VarianceScaling):
    """Base of the variance scalings of a fixed scale, mode and distribution."""

    _preset: tuple[float, str, str]

    def __init__(self, seed: Any = None, input_axes: Axes = None, output_axes: Axes = None) -> None:
        super().__init__(*self._preset, seed, input_axes, output_axes)


@REGISTRY.add("glorot_uniform")
class GlorotUniform(_Preset):
    """Uniform, variance ``2 / (fan_in + fan_out)``: Glorot and Bengio, 2010, equation 16."""

    _preset = (1.0, "fan_avg", "uniform")


@REGISTRY.add("glorot_normal")
class GlorotNormal(_Preset):
    """Truncated normal, variance ``2 / (fan_in + fan_out)``: Glorot and Bengio, 2010, equation 12."""

    _preset = (1.0, "fan_avg", "truncated_normal")


@REGISTRY.add("lecun_uniform")
class LecunUniform(_Preset):
    """Uniform, variance ``1 / fan_in``."""

    _preset = (1.0, "fan_in", "uniform")


@REGISTRY.add("lecun_normal")
class LecunNormal(_Preset):
    """Truncated normal, variance ``1 / fan_in``: LeCun et al., "Efficient BackProp", 1998, section 4.6."""

    _preset = (1.0, "fan_in", "truncated_normal")


@REGISTRY.add("he_uniform")
class HeUniform(_Preset):
    """Uniform, variance ``2 / fan_in``: He et al., 2015, equation 10."""

    _preset = (2.0, "fan_in", "uniform")


@REGISTRY.add("he_normal")
class HeNormal(_Preset):
    """Truncated normal, variance ``2 / fan_in``: He et al., 2015, equation 10."""

    _preset = (2.0, "fan_in", "truncated_normal")


@REGISTRY.add("orthogonal", "OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """A random matrix with orthonormal columns, or rows where it has fewer of them.

    A kernel of more axes is read as the matrix (taps and channels, filters).

    Parameters
    ----------
    gain : float
        Factor of the matrix.
    seed : int, numpy.random.Generator or None
        As for :class:`RandomInitializer`.
    """

    def __init__(self, gain: float = 1.0, seed: Any = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        if len(shape) < 2:
            raise ValueError(f"orthogonal initializer needs at least 2 axes, received shape {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = self._generator().standard_normal((max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(normal)
        q *= np.copysign(1, np.diag(r))  # makes the distribution uniform: Mezzadri, 2007
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


@REGISTRY.add("stft", "STFTInitializer")
class STFT(Initializer):
    """The kernel (steps, 1, frequencies) of a windowed Fourier transform.

    Parameters
    ----------
    side : {"real", "imag"}
        The part of the transform.
    window : str, array_like or None
        One of ``WINDOWS``, or its values; None is no window.
    scaling : {"density", "spectrum", None}
        Division by the window's Euclidean norm or by its sum; None is no scaling.
    periodic : bool
        A periodic window rather than a symmetric one.
    """

    # Coefficients of cosine-sum windows: Harris, "On the Use of Windows for Harmonic Analysis", 1978.
    WINDOWS = {
        "boxcar": (1.0,),
        "hann": (0.5, 0.5),
        "hamming": (0.54, 0.46),
        "blackman": (0.42, 0.5, 0.08),
        "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    }

    def __init__(
        self,
        side: str = "real",
        window: Any = "hann",
        scaling: str | None = "density",
        periodic: bool = False,
    ) -> None:
        self.side = _one_of(("real", "imag"), side, "side")
        self.window = _one_of(tuple(self.WINDOWS), window, "window") if isinstance(window, str) else window
        self.scaling = scaling if scaling is None else _one_of(("density", "spectrum"), scaling, "scaling")
        self.periodic = periodic

    def _values(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        if len(shape) != 3:
            raise ValueError(f"stft initializer needs a kernel (steps, 1, frequencies), received shape {shape}")
        steps, _, frequencies = shape
        time = np.arange(steps)[:, None, None]
        angle = -2 * math.pi * time * np.arange(frequencies) / max(2 * (frequencies - 1), 1)
        wave = np.cos(angle) if self.side == "real" else np.sin(angle)
        if self.window is None:
            return np.broadcast_to(wave, shape)
        window = self._window(steps)
        if window.shape != (steps,):
            raise ValueError(f"window must have {steps} values, received shape {window.shape}")
        scales = {None: 1.0, "density": math.sqrt(np.square(window).sum()), "spectrum": np.abs(window).sum()}
        return np.broadcast_to(wave * window[:, None, None] / scales[self.scaling], shape)

    def _window(self, steps: int) -> npt.NDArray[Any]:
        if not isinstance(self.window, str):
            return np.asarray(self.window, np.float64)
        period = steps if self.periodic else steps - 1
        if steps == 1:
            return np.ones(1)
        turns = 2 * math.pi * np.arange(steps) / period
        terms = [(-1) ** k * a * np.cos(k * turns) for k, a in enumerate(self.WINDOWS[self.window])]
        return np.asarray(sum(terms))


# Standard deviation of a standard normal distribution truncated at two: with phi its density,
# sqrt(1 - 4 phi(2) / erf(sqrt(2))).
TRUNCATED_STDDEV = math.sqrt(1 - 4 * math.exp(-2) / math.sqrt(2 * math.pi) / math.erf(math.sqrt(2)))


def fans(shape: Sequence[int], input_axes: Axes = None, output_axes: Axes = None) -> tuple[int, int]:
    """Return how many inputs one output sees through a weight, and how many outputs one input reaches.

    Parameters
    ----------
    shape : sequence of int
        A kernel's ``(*window, channels, filters)``: the window counts for both.
    input_axes, output_axes : sequence of int, optional
        The axes that count, where both are given.

    Examples
    --------
    >>> fans((3, 3, 16, 32))
    (144, 288)
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    *window, channels, filters = shape
    return math.prod(window) * channels, math.prod(window) * filters


def _truncated_normal(generator: np.random.Generator, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return standard normal numbers between -2 and 2."""
    values = generator.standard_normal(shape)
    beyond = np.abs(values) > 2
    while beyond.any():
        values[beyond] = generator.standard_normal(np.count_nonzero(beyond))
        beyond = np.abs(values) > 2
    return values


def _one_of(names: tuple[str, ...], value: object, argument: str) -> str:
    if value not in names:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, names))}, received {shown(value)}")
    return str(value)
