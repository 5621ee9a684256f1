"""The oracle itself, by values worked out by hand."""

import numpy as np
import pytest
import reference


def row(*values):
    """A one-channel signal of batch 1, shape (1, n, 1)."""
    return np.array(values, dtype=np.float64).reshape(1, -1, 1)


def weights(*values):
    """One filter over one channel, shape (k, 1, 1)."""
    return np.array(values, dtype=np.float64).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("padding", "strides", "dilation_rate", "want"),
    [
        # inputs 1 2 3 4 5, weights 1 10 100: the digits of an output are the inputs that its window sees
        ("valid", 1, 1, [321, 432, 543]),
        ("valid", 2, 1, [321, 543]),
        ("valid", 1, 2, [531]),
        ("same", 1, 1, [210, 321, 432, 543, 54]),
        ("same", 2, 1, [210, 432, 54]),
        ("same", 1, 2, [310, 420, 531, 42, 53]),
        ("same", 3, 1, [321, 54]),  # 2 outputs need 6 inputs: the one zero comes after
        ("causal", 1, 1, [100, 210, 321, 432, 543]),
        ("causal", 2, 1, [100, 321, 543]),
        ("causal", 2, 2, [100, 310, 531]),
        (1, 1, 1, [210, 321, 432, 543, 54]),
        (((0, 2),), 1, 1, [321, 432, 543, 54, 5]),
        (((3, 0),), 4, 1, [0, 432]),
    ],
)
def test_conv_1d(padding, strides, dilation_rate, want):
    got = reference.conv(row(1, 2, 3, 4, 5), weights(1, 10, 100), strides, padding, None, dilation_rate)
    np.testing.assert_array_equal(got, row(*want))


def test_same_with_stride_2_pads_after():
    # 4 inputs, window 3, stride 2: 2 outputs need 5 inputs, so one zero, after
    got = reference.conv(row(1, 2, 3, 4), weights(1, 10, 100), 2, "same")
    np.testing.assert_array_equal(got, row(321, 43))


def test_conv_2d_is_a_correlation():
    inputs = np.arange(9.0).reshape(1, 3, 3, 1)  # 0 1 2 / 3 4 5 / 6 7 8
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(2, 2, 1, 1)
    # top left: 0*1 + 1*2 + 3*3 + 4*4 = 27; one step right or down adds 10 times 1 or 3
    np.testing.assert_array_equal(reference.conv(inputs, kernel)[0, ..., 0], [[27, 37], [57, 67]])


def test_conv_2d_unequal_axes():
    inputs = np.arange(12.0).reshape(1, 3, 4, 1)  # 0 1 2 3 / 4 5 6 7 / 8 9 10 11
    kernel = np.array([[1.0], [100.0]]).reshape(2, 1, 1, 1)
    got = reference.conv(inputs, kernel, (1, 3), ((0, 1), (0, 0)))
    np.testing.assert_array_equal(got[0, ..., 0], [[400, 703], [804, 1107], [8, 11]])


def test_channels_are_summed_filters_are_not():
    inputs = np.array([[[1.0, 2.0, 3.0]]])  # one position, three channels
    kernel = np.array([[[1.0, 0.0], [10.0, 0.0], [100.0, 5.0]]])  # (1, 3, 2)
    np.testing.assert_array_equal(reference.conv(inputs, kernel), [[[321, 15]]])
    np.testing.assert_array_equal(reference.conv(inputs, kernel, bias=np.array([0.5, -1.0])), [[[321.5, 14.0]]])
    np.testing.assert_array_equal(reference.pointwise_conv(inputs, kernel[0]), [[[321, 15]]])


def test_groups():
    inputs = np.array([[[1.0, 2.0, 3.0, 4.0]]])  # groups (1, 2) and (3, 4)
    kernel = np.array([[[1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]]])  # (1, 2, 4)
    # filters 0, 1 see channels 0, 1; filters 2, 3 see channels 2, 3
    np.testing.assert_array_equal(reference.conv(inputs, kernel), [[[21, 42, 129, 172]]])


def test_depthwise_order_is_channel_then_multiplier():
    inputs = np.array([[[1.0, 10.0], [2.0, 20.0]]])  # two positions, two channels
    kernel = np.array([[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]])  # (2, channels 2, multiplier 2)
    # channel 0: 1*1 + 2*5, 1*2 + 2*6; channel 1: 10*3 + 20*7, 10*4 + 20*8
    np.testing.assert_array_equal(reference.depthwise_conv(inputs, kernel), [[[11, 14, 170, 200]]])


def test_separable():
    inputs = np.array([[[1.0, 10.0], [2.0, 20.0]]])
    depthwise = np.array([[[1.0], [3.0]], [[5.0], [7.0]]])  # gives 11, 170
    pointwise = np.array([[[1.0, 2.0], [0.0, 1.0]]])
    got = reference.separable_conv(inputs, depthwise, pointwise, bias=np.array([0.0, 1.0]))
    np.testing.assert_array_equal(got, [[[11, 22 + 170 + 1]]])


def test_channels_first_is_the_same_sum():
    rng = np.random.default_rng(0)
    inputs, kernel = rng.normal(size=(2, 5, 6, 3)), rng.normal(size=(3, 2, 3, 4))
    want = reference.conv(inputs, kernel, (1, 2), "same")
    got = reference.conv(inputs.transpose(0, 3, 1, 2), kernel, (1, 2), "same", "channels_first")
    np.testing.assert_array_equal(got, want.transpose(0, 3, 1, 2))


@pytest.mark.parametrize("op", [reference.conv, reference.depthwise_conv])
def test_padding_is_multiplied_by_the_weights(op):
    with np.errstate(invalid="ignore"):
        got = op(row(1, 1), weights(np.inf, 1), padding="causal")
    np.testing.assert_array_equal(got, row(np.nan, np.inf))


def test_batch_of_nothing():
    assert reference.conv(np.empty((0, 5, 2)), np.ones((3, 2, 4))).shape == (0, 3, 4)
