"""Numbers on every path: NaN and infinities, signed zeros, overflow, and errors of long sums against their bound."""

from fractions import Fraction

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from strategies import DTYPES, cases, check, make

every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
NONFINITE = (np.nan, np.inf, -np.inf)

# A row for each path of the kernels: rank, borders, strides, dilations, groups, layouts, multipliers, fewer channels
# or filters than a vector has lanes, more than one vector, and several tiles of pixels. Padding on every side.
PATHS = {
    "conv 1d": ("conv", (1, 40, 5), [(4, 5, 17)], {"padding": "same"}),
    "conv causal": ("conv", (1, 40, 5), [(3, 5, 9)], {"padding": "causal", "dilation_rate": 3}),
    "conv 2d": ("conv", (1, 7, 20, 17), [(3, 3, 17, 33)], {"padding": "same"}),
    "conv, fewer products": ("conv", (1, 7, 20, 33), [(3, 3, 33, 40)], {"padding": "same"}),
    "conv, fewer products, of groups": ("conv", (1, 12, 13, 80), [(3, 3, 40, 98)], {"padding": 2, "dilation_rate": 2}),
    "conv, fewer products, channels first": (
        "conv",
        (1, 33, 7, 20),
        [(3, 3, 33, 40)],
        {"padding": "same", "data_format": "channels_first"},
    ),
    "conv, few channels": ("conv", (1, 7, 20, 3), [(3, 3, 3, 2)], {"padding": "same"}),
    "conv, one of each": ("conv", (2, 7, 9, 1), [(2, 3, 1, 1)], {"padding": 2}),
    "conv strided": ("conv", (1, 9, 21, 4), [(3, 3, 4, 17)], {"padding": "same", "strides": (2, 3)}),
    "conv dilated": ("conv", (1, 9, 21, 4), [(3, 3, 4, 17)], {"padding": "same", "dilation_rate": (2, 3)}),
    "conv, groups of two channels": ("conv", (1, 7, 12, 20), [(3, 3, 2, 20)], {"padding": "same"}),
    "conv, groups of four channels": ("conv", (1, 7, 12, 20), [(3, 3, 4, 20)], {"padding": "same", "strides": 2}),
    "conv, groups of one channel": ("conv", (1, 7, 12, 9), [(3, 3, 1, 18)], {"padding": "same"}),
    "conv grouped": ("conv", (1, 7, 12, 15), [(3, 3, 5, 27)], {"padding": 1}),
    "conv, channels first": (
        "conv",
        (1, 5, 7, 20),
        [(3, 3, 5, 17)],
        {"padding": "same", "data_format": "channels_first"},
    ),
    "grouped, channels first": (
        "conv",
        (1, 6, 7, 12),
        [(3, 3, 2, 9)],
        {"padding": 1, "strides": 2, "data_format": "channels_first"},
    ),
    "pointwise": ("pointwise_conv", (1, 5, 9, 19), [(19, 33)], {}),
    "pointwise 1d, few": ("pointwise_conv", (2, 9, 3), [(3, 2)], {}),
    "pointwise, channels first": ("pointwise_conv", (1, 19, 5, 9), [(19, 6)], {"data_format": "channels_first"}),
    "depthwise 1d": ("depthwise_conv", (1, 40, 17), [(4, 17, 1)], {"padding": "causal"}),
    "depthwise 2d": ("depthwise_conv", (1, 7, 20, 33), [(3, 3, 33, 1)], {"padding": "same"}),
    "depthwise, few channels": ("depthwise_conv", (1, 7, 20, 3), [(3, 3, 3, 1)], {"padding": "same"}),
    "depthwise strided": ("depthwise_conv", (1, 9, 21, 17), [(3, 3, 17, 1)], {"padding": "same", "strides": 2}),
    "depthwise dilated": ("depthwise_conv", (1, 9, 21, 17), [(3, 3, 17, 1)], {"padding": 2, "dilation_rate": 2}),
    "depthwise, multiplier": ("depthwise_conv", (1, 7, 12, 5), [(3, 3, 5, 3)], {"padding": "same"}),
    "depthwise, channels first": (
        "depthwise_conv",
        (1, 17, 7, 12),
        [(3, 3, 17, 2)],
        {"padding": "same", "data_format": "channels_first"},
    ),
    "separable 1d": ("separable_conv", (1, 40, 5), [(4, 5, 2), (1, 10, 17)], {"padding": "causal"}),
    "separable 2d": ("separable_conv", (1, 7, 20, 17), [(3, 3, 17, 1), (1, 1, 17, 33)], {"padding": "same"}),
    "separable strided": ("separable_conv", (1, 9, 21, 5), [(3, 3, 5, 1), (5, 6)], {"padding": "same", "strides": 2}),
    "separable, channels first": (
        "separable_conv",
        (1, 5, 7, 12),
        [(3, 3, 5, 2), (10, 17)],
        {"padding": "same", "data_format": "channels_first"},
    ),
}
every_path = pytest.mark.parametrize("path", PATHS)


def case_of(path, dtype, bias=True):
    op, shape, kernels, options = PATHS[path]
    if op == "separable_conv" and len(kernels[1]) == 2:
        kernels = [kernels[0], (*[1] * (len(shape) - 2), *kernels[1])]
    return make(op, shape, *kernels, dtype=dtype, bias=bias, **options)


def places(array, count=40):
    """Indices of the first and the last entry, and of others all over an array."""
    return sorted({0, array.size - 1, *np.random.default_rng(0).integers(0, array.size, count).tolist()})


def windows_that_hold(case, at):
    """Which outputs an input reaches: those that change where all weights are one and all other inputs zero."""
    inputs = np.zeros_like(case.inputs)
    inputs.flat[at] = 1
    ones = [np.ones_like(kernel) for kernel in case.kernels]
    return getattr(reference, case.op)(inputs, *ones, **case.options) != 0


# -- NaN and infinities


@pytest.mark.usefixtures("isa")
@every_dtype
@every_path
def test_a_nonfinite_input_reaches_the_outputs_whose_window_holds_it(path, dtype):
    case = case_of(path, dtype)
    clean = case.run()
    for i, at in enumerate(places(case.inputs)):
        before, case.inputs.flat[at] = case.inputs.flat[at], NONFINITE[i % 3]
        got = check(case)
        np.testing.assert_array_equal(~np.isfinite(got), windows_that_hold(case, at), err_msg=f"{case}, input {at}")
        np.testing.assert_array_equal(got[np.isfinite(got)], clean[np.isfinite(got)], err_msg=f"{case}, input {at}")
        case.inputs.flat[at] = before


@pytest.mark.usefixtures("isa")
@every_dtype
@every_path
def test_a_nonfinite_weight_meets_padding_as_zero_times_it(path, dtype):
    """The rule of docs/index.md: NaN where its tap falls on padding, infinite where it falls on an input."""
    case = case_of(path, dtype)
    case.inputs[...] = np.abs(case.inputs) + 1
    kinds = set()
    for kernel in case.kernels:
        for i, at in enumerate(places(kernel)):
            before, kernel.flat[at] = kernel.flat[at], NONFINITE[i % 3]
            got = check(case)
            if i % 3:
                kinds |= {"NaN"} if np.isnan(got).any() else set()
                kinds |= {"infinite"} if np.isinf(got).any() else set()
            kernel.flat[at] = before
    assert kinds == ({"infinite"} if case.op == "pointwise_conv" else {"NaN", "infinite"})


@pytest.mark.usefixtures("isa")
@given(
    case=cases(orders=("C",), batches=(1, 2)),
    value=st.sampled_from(NONFINITE),
    data=st.data(),
)
def test_a_nonfinite_input_of_any_case(case, value, data):
    clean = case.run()
    at = data.draw(st.integers(0, case.inputs.size - 1))
    case.inputs.flat[at] = value
    got = check(case)
    reached = windows_that_hold(case, at)
    np.testing.assert_array_equal(~np.isfinite(got), reached)
    np.testing.assert_array_equal(got[~reached], clean[~reached], err_msg=str(case))


@pytest.mark.usefixtures("isa")
@given(
    case=cases(orders=("C",), batches=(1, 2)),
    value=st.sampled_from(NONFINITE),
    data=st.data(),
)
def test_a_nonfinite_weight_of_any_case(case, value, data):
    kernel = case.kernels[data.draw(st.integers(0, len(case.kernels) - 1))]
    kernel.flat[data.draw(st.integers(0, kernel.size - 1))] = value
    check(case)


@pytest.mark.usefixtures("isa")
@every_dtype
@every_path
def test_a_nonfinite_bias_reaches_its_filter(path, dtype):
    case = case_of(path, dtype)
    for at, value in zip(places(case.bias, 3), (*NONFINITE, np.nan, np.inf)):
        before, case.bias[at] = case.bias[at], value
        got = np.moveaxis(check(case), 1 if case.options.get("data_format") == "channels_first" else -1, -1)
        np.testing.assert_array_equal(np.isfinite(got), np.broadcast_to(np.isfinite(case.bias), got.shape))
        case.bias[at] = before


@pytest.mark.usefixtures("isa")
def test_zero_inputs_with_an_infinite_weight():
    case = make("depthwise_conv", (1, 3, 3, 20), (3, 3, 20, 1), padding="same")
    case.inputs[:] = 0
    case.kernels[0][0, 0] = np.inf
    assert np.isnan(case.run()).all()


# -- the ends of the range


@pytest.mark.usefixtures("isa")
@every_dtype
@every_path
def test_zeros(path, dtype):
    """A zero's sign in the input changes no bit but that of a sum of zeros, which is a zero."""
    case = case_of(path, dtype)
    case.inputs[np.random.default_rng(1).random(case.inputs.shape) < 0.5] = 0
    plus = check(case)
    case.inputs[case.inputs == 0] = -0.0
    np.testing.assert_array_equal(check(case).view(f"u{plus.itemsize}"), plus.view(f"u{plus.itemsize}"))
    case.inputs[...] = np.where(np.random.default_rng(2).random(case.inputs.shape) < 0.5, 0.0, -0.0)
    case.bias = None
    assert (case.run() == 0).all()


@pytest.mark.usefixtures("isa")
@every_dtype
@every_path
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_beyond_the_range_is_infinite(path, dtype, sign):
    """Sums of products of one sign: infinite where, and only where, the exact sum is beyond the largest number."""
    case = case_of(path, dtype, bias=False)
    case.inputs[...] = sign
    for kernel in case.kernels:
        kernel[...] = 1
    terms = case.want()  # how many products each output adds: small whole numbers
    largest = Fraction(float(np.finfo(dtype).max))
    power = 2.0 ** np.floor(np.log2(float(largest) / abs(terms).max()))  # with powers of two, every sum is exact
    for each in (power, 2 * power):
        case.inputs[...] = sign * each
        exact = [Fraction(each) * int(n) for n in terms.flat]
        want = [float(e) if abs(e) <= largest else sign * np.inf for e in exact]
        np.testing.assert_array_equal(case.run(), np.reshape(want, terms.shape), err_msg=str(case))
    assert np.isinf(want).any()


@pytest.mark.usefixtures("isa")
@every_dtype
def test_denormal_numbers_are_computed_exactly(dtype):
    """Sums of whole multiples of the smallest number, by whole weights."""
    tiny = np.finfo(dtype).smallest_subnormal
    rng = np.random.default_rng(0)
    for path in PATHS:
        case = case_of(path, dtype, bias=False)
        case.inputs[...] = rng.integers(-9, 10, case.inputs.shape)
        for kernel in case.kernels:
            kernel[...] = rng.integers(-3, 4, kernel.shape)
        whole = case.want()
        case.inputs *= tiny
        np.testing.assert_array_equal(case.run(), whole.astype(dtype) * tiny, err_msg=str(case))


# -- errors of long sums
#
# Let terms t_1 ... t_K (the products and the bias) be random, of mean zero, and s_k the sum of the first k in the
# order of addition. The k-th addition is off by at most u |s_k|, u = eps / 2; these errors are of either sign. A
# value spread evenly over [-u |s_k|, u |s_k|] is sub-Gaussian with variance u^2 s_k^2 / 3, hence
#     |error| <= a u sqrt(s_1^2 + ... + s_K^2) / sqrt(3)    but for a share 2 exp(-a^2 / 2) of sums.
# The s_k are a random walk of total variance ||t||^2, and the integral of a squared Brownian motion over [0, 1] has
# the tail exp(-pi^2 b / 8):
#     s_1^2 + ... + s_K^2 <= b K ||t||^2                    but for a share of about exp(-pi^2 b / 8) of sums.
# With shares of 5e-9 (there are some 1e5 outputs here): a = 6.3 and b = 15.5, so that
#     |error| <= 6.3 / 2 * sqrt(15.5 / 3) eps sqrt(K) ||t|| = 7.2 eps sqrt(K) ||t||.
# Products that are rounded before they are added (no fused multiply-add) have errors of a u ||t|| / sqrt(3), less than
# 1.9 eps ||t||: 8 covers them from K = 6 on. ||t|| is the root of the sum of squares: about sqrt(K) times smaller than
# the sum of absolute values, by which strategies.check scales its bound, so that this one is the
# narrower for long sums.
C = 8

LONG = {
    "conv 2d": ("conv", (1, 5, 9, 1152), [(3, 3, 1152, 40)], {"padding": "same"}),
    "conv 1d": ("conv", (1, 60, 400), [(31, 400, 33)], {"strides": 2}),
    "conv causal": ("conv", (1, 40, 700), [(16, 700, 17)], {"padding": "causal", "dilation_rate": 2}),
    "conv, few channels": ("conv", (1, 3040, 3), [(3001, 3, 5)], {}),
    "conv, one channel": ("conv", (1, 120, 130, 1), [(101, 101, 1, 2)], {}),
    "conv dilated": ("conv", (1, 14, 14, 600), [(5, 5, 600, 9)], {"dilation_rate": 3}),
    "conv grouped": ("conv", (1, 4, 9, 2400), [(3, 3, 1200, 34)], {}),
    "conv, channels first": ("conv", (1, 1200, 4, 20), [(3, 3, 1200, 17)], {"data_format": "channels_first"}),
    "pointwise": ("pointwise_conv", (1, 5, 7, 16384), [(16384, 33)], {}),
    "pointwise, few filters": ("pointwise_conv", (1, 35, 16384), [(16384, 3)], {}),
    "depthwise 1d": ("depthwise_conv", (1, 12_040, 4), [(12_001, 4, 1)], {}),
    "depthwise 2d": ("depthwise_conv", (1, 110, 120, 17), [(101, 101, 17, 1)], {}),
    "depthwise, multiplier": ("depthwise_conv", (1, 110, 112, 3), [(101, 101, 3, 2)], {}),
    "separable 2d": ("separable_conv", (1, 36, 36, 2500), [(31, 31, 2500, 1), (1, 1, 2500, 9)], {}),
    "separable, multiplier": ("separable_conv", (1, 3010, 40), [(3001, 40, 3), (1, 120, 17)], {}),
}


def bound(case):
    """C eps sqrt(K) ||terms|| of each output; for the separable, what the first step's errors grow to and its own."""
    options = case.options
    inputs, *kernels = (a.astype(np.float64) for a in (case.inputs, *case.kernels))
    bias = None if case.bias is None else case.bias.astype(np.float64) ** 2
    eps = np.finfo(case.dtype).eps
    *first, last = kernels
    length = np.prod(last.shape[:-2] if case.op == "depthwise_conv" else last.shape[:-1]) + (bias is not None)
    if not first:
        squares = getattr(reference, case.op)(inputs**2, last**2, **options, bias=bias)
        return C * eps * np.sqrt(length * squares)
    data_format = options.get("data_format")
    taps = np.prod(first[0].shape[:-2])
    norms = np.sqrt(reference.depthwise_conv(inputs**2, first[0] ** 2, **options))
    grown = np.sqrt(taps) * reference.pointwise_conv(norms, np.abs(last), data_format)
    between = reference.depthwise_conv(inputs, first[0], **options)
    own = np.sqrt(length * reference.pointwise_conv(between**2, last**2, data_format, bias))
    return C * eps * (grown + own)


def exact(case, monkeypatch):
    """The reference in a type that has at least 11 bits more than the case's."""
    if case.dtype == np.float64:
        if np.finfo(np.longdouble).nmant < 63:
            pytest.skip("long double is no longer than double here")
        monkeypatch.setattr(reference, "FLOAT", np.longdouble)
    return case.want()


_exact = {}  # (path, dtype) -> case, exact result, bound: the same for every instruction set


@every_dtype
@pytest.mark.parametrize("path", LONG)
def test_errors_of_long_sums(path, dtype, isa, monkeypatch):
    if (path, dtype) not in _exact:
        op, shape, kernels, options = LONG[path]
        case = make(op, shape, *kernels, dtype=dtype, **options)
        limit = bound(case)
        _exact[path, dtype] = case, exact(case, monkeypatch), limit
    case, want, limit = _exact[path, dtype]
    error = np.abs(case.run() - want)
    worst = float((error / limit).max())
    assert worst <= 1, f"{case} on {isa}: {worst * C:.3g} eps sqrt(K) ||terms||, expected at most {C}"


@every_dtype
def test_the_bound_of_long_sums_is_narrow(dtype, monkeypatch):
    """Weights with ten bits less than they have break it."""
    op, shape, kernels, options = LONG["conv 2d"]
    case = make(op, shape, *kernels, dtype=dtype, **options)
    want, limit = exact(case, monkeypatch), bound(case)
    bits = 2.0 ** (np.finfo(dtype).nmant - 10)
    mantissa, exponent = np.frexp(case.kernels[0])
    case.kernels = (np.ldexp(np.round(mantissa * bits) / bits, exponent).astype(dtype),)
    assert (np.abs(case.run() - want) > limit).any()
