"""Every kernel of every instruction set: sizes around each tile boundary, windows, strides, threads."""

import numpy as np
import pytest
from hypothesis import given
from strategies import CHANNELS, DTYPES, OPS, ORDERS, assert_close, cases, check, make, same, shapes

from cyconv import kernels, ops

dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.__name__)
every_op = pytest.mark.parametrize("op", OPS)

# Tiles are at most 16 pixels wide: whole tiles, one pixel more, one less, two tiles and a tail.
WIDTHS = range(1, 34)


@pytest.mark.usefixtures("isa")
@dtypes
@every_op
class TestTiles:
    """Outputs of every width and number of filters."""

    @pytest.mark.parametrize("filters", [1, 8, 12, 17, 24, 28, 40, 56])
    def test_widths(self, op, dtype, filters):
        channels = filters if op == "depthwise_conv" else 5
        for width in WIDTHS:
            check(make(op, *shapes(op, (2, width), (3, 3), channels, filters), dtype=dtype, **same(op)))

    @pytest.mark.parametrize("width", [1, 13])
    def test_filters(self, op, dtype, width):
        for filters in (*CHANNELS, 127, 128, 129):
            channels = filters if op == "depthwise_conv" else 3
            check(make(op, *shapes(op, (width,), (3,), channels, filters), dtype=dtype, **same(op)))

    def test_channels(self, op, dtype):
        for channels in (*CHANNELS, 127, 300):
            check(make(op, *shapes(op, (3, 5), (2, 2), channels, 9), dtype=dtype, **same(op)))

    def test_heights(self, op, dtype):
        for height in (1, 2, 3, 7, 20):
            for width in (1, 2, 6, 7):
                check(make(op, *shapes(op, (height, width), (3, 3), 20, 20), dtype=dtype, **same(op)))

    @pytest.mark.parametrize("order", ["sliced channels", "negative strides", "window of a larger array"])
    def test_orders(self, op, dtype, order):
        for width in (1, 8, 13):
            for channels in (1, 5, 16, 33):
                case = make(op, *shapes(op, (4, width), (3, 3), channels, 20), dtype=dtype, **same(op))
                case.inputs = ORDERS[order](case.inputs)
                check(case)

    def test_channels_first(self, op, dtype):
        for width in (1, 8, 13, 30):
            for channels in (1, 5, 16, 33):
                for filters in (1, 5, 16, 33):
                    shape, *kernel = shapes(op, (4, width), (3, 3), channels, filters)
                    shape = (1, channels, 4, width)
                    check(make(op, shape, *kernel, dtype=dtype, **same(op), data_format="channels_first"))


@pytest.mark.usefixtures("isa")
@dtypes
class TestGroups:
    """Groups of a few channels: those that share a vector, those of one channel, and those that fit neither path."""

    @pytest.mark.parametrize("channels", [2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 72])
    @pytest.mark.parametrize("depth", [1, 2, 4, 8])
    def test_depth(self, dtype, depth, channels):
        if channels % depth:
            channels *= depth
        for multiplier in (1, 2, 9):
            for width in (1, 7, 9, 25):
                kernel = (3, 3, depth, channels * multiplier)
                check(make("conv", (1, 3, width, channels), kernel, dtype=dtype, padding="same"))

    @pytest.mark.parametrize("depth", [1, 2, 4, 8])
    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_strides_and_dilations(self, dtype, depth, data_format):
        for channels in (16, 40):
            shape = (2, channels, 9, 21) if data_format == "channels_first" else (2, 9, 21, channels)
            for padding in ("valid", "same", ((3, 0), (0, 2))):
                for strides, dilation_rate in ((1, 1), (2, 1), ((1, 3), (2, 1)), (1, (1, 3))):
                    options = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
                    options["data_format"] = data_format
                    check(make("conv", shape, (2, 3, depth, channels), dtype=dtype, **options))

    def test_1d(self, dtype):
        for depth in (1, 2, 4, 8):
            for window in (1, 3, 10):
                check(make("conv", (2, 40, 24), (window, depth, 24), dtype=dtype, padding="causal"))


WINDOWS = [
    (1, 1),
    (1, 2),
    (2, 1),
    (1, 5),
    (5, 1),
    (2, 2),
    (3, 3),
    (4, 4),
    (5, 5),
    (6, 6),
    (7, 7),
    (3, 5),
    (1, 31),
    (31, 1),
]
WINDOWED = ("conv", "depthwise_conv", "separable_conv")


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("op", WINDOWED)
class TestWindows:
    """Windows, strides and dilations, each with each."""

    @pytest.mark.parametrize("window", WINDOWS, ids="{0[0]}x{0[1]}".format)
    def test_window(self, op, dtype, window):
        for padding in ("valid", "same", ((3, 0), (0, 2))):
            for channels, filters in ((1, 3), (4, 16), (17, 5)):
                size = (window[0] + 4, window[1] + 8)
                check(make(op, *shapes(op, size, window, channels, filters), dtype=dtype, padding=padding))

    @pytest.mark.parametrize("strides", [1, 2, 3, (1, 2), (3, 1)], ids=str)
    @pytest.mark.parametrize("dilation_rate", [1, 2, 3, 5, (2, 1), (1, 3)], ids=str)
    def test_strides_and_dilations(self, op, dtype, strides, dilation_rate):
        for window in ((3, 3), (1, 2)):
            for padding in ("valid", "same", 2):
                for channels in (3, 16):
                    options = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
                    shape = shapes(op, (12, 23), window, channels, 9)
                    check(make(op, *shape, dtype=dtype, **options))

    @pytest.mark.parametrize("window", [1, 2, 3, 4, 10, 31])
    def test_1d(self, op, dtype, window):
        for padding in ("valid", "same", "causal", ((0, 3),)):
            for strides in (1, 2, 5):
                for dilation_rate in (1, 3):
                    shape = shapes(op, (3 * (window - 1) + 20,), (window,), 6, 9)
                    options = {"strides": strides, "padding": padding, "dilation_rate": dilation_rate}
                    check(make(op, *shape, dtype=dtype, **options))

    def test_window_larger_than_the_image(self, op, dtype):
        for size in ((1, 1), (2, 3), (1, 20)):
            for channels in (1, 16):
                check(make(op, *shapes(op, size, (7, 9), channels, 5), dtype=dtype, padding="same"))
                check(
                    make(
                        op,
                        *shapes(op, size, (3, 3), channels, 5),
                        dtype=dtype,
                        padding="same",
                        dilation_rate=10,
                    )
                )

    def test_outputs_that_see_padding_only(self, op, dtype):
        check(make(op, *shapes(op, (2, 2), (2, 2), 8, 5), dtype=dtype, padding=((9, 1), (2, 12))))
        check(make(op, *shapes(op, (2, 2), (2, 2), 8, 5), dtype=dtype, padding=((9, 1), (2, 12)), strides=4))


@pytest.mark.usefixtures("isa")
@dtypes
class TestGroupsAndMultipliers:
    @pytest.mark.parametrize("groups", [1, 2, 3, 8])
    def test_groups(self, dtype, groups):
        for depth in (1, 3, 8):
            for filters in (1, 2, 4, 8, 9, 17, 33):
                case = make("conv", (1, 4, 9, groups * depth), (3, 3, depth, groups * filters), dtype=dtype, padding=1)
                check(case)

    @pytest.mark.parametrize("groups", [2, 5])
    def test_groups_channels_first(self, dtype, groups):
        options = {"padding": "same", "strides": 2, "data_format": "channels_first"}
        for filters in (1, 4, 9):
            check(make("conv", (2, groups * 3, 7, 9), (3, 3, 3, groups * filters), dtype=dtype, **options))

    @pytest.mark.parametrize("multiplier", [1, 2, 3, 8])
    @pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
    def test_multipliers(self, dtype, multiplier, data_format):
        for channels in (1, 2, 3, 5, 8, 17, 33):
            for width in (1, 9):
                size = (3, width)
                shape = (1, channels, *size) if data_format == "channels_first" else (1, *size, channels)
                depthwise, pointwise = (3, 3, channels, multiplier), (1, 1, channels * multiplier, 6)
                options = {"dtype": dtype, "padding": "same", "data_format": data_format}
                check(make("depthwise_conv", shape, depthwise, **options))
                check(make("separable_conv", shape, depthwise, pointwise, **options))


# Layers of well-known networks, smaller.
LAYERS = {
    "resnet conv1 7x7/2": ("conv", (1, 56, 56, 3), [(7, 7, 3, 64)], {"strides": 2, "padding": "same"}),
    "resnet 3x3": ("conv", (1, 14, 14, 64), [(3, 3, 64, 64)], {"padding": "same"}),
    "resnet 3x3, 7x7 pixels": ("conv", (1, 7, 7, 256), [(3, 3, 256, 96)], {"padding": "same"}),
    "resnet 3x3/2": ("conv", (1, 28, 28, 32), [(3, 3, 32, 64)], {"strides": 2, "padding": "same"}),
    "deeplab 3x3 dilated": (
        "conv",
        (1, 33, 33, 32),
        [(3, 3, 32, 32)],
        {"dilation_rate": 2, "padding": "same"},
    ),
    "mnist": ("conv", (1, 28, 28, 1), [(3, 3, 1, 32)], {}),
    "resnext grouped 3x3": ("conv", (1, 14, 14, 128), [(3, 3, 4, 128)], {"padding": "same"}),
    "pointwise, few channels": ("pointwise_conv", (1, 56, 56, 32), [(32, 64)], {}),
    "pointwise, many channels": ("pointwise_conv", (1, 7, 7, 1024), [(1024, 256)], {}),
    "mobilenet depthwise": ("depthwise_conv", (1, 56, 56, 32), [(3, 3, 32, 1)], {"padding": "same"}),
    "mobilenet depthwise/2": (
        "depthwise_conv",
        (1, 28, 28, 64),
        [(3, 3, 64, 1)],
        {"strides": 2, "padding": "same"},
    ),
    "depthwise 5x5": ("depthwise_conv", (1, 28, 28, 120), [(5, 5, 120, 1)], {"padding": "same"}),
    "depthwise, 7x7 pixels": ("depthwise_conv", (1, 7, 7, 512), [(3, 3, 512, 1)], {"padding": "same"}),
    "xception separable": (
        "separable_conv",
        (1, 19, 19, 100),
        [(3, 3, 100, 1), (1, 1, 100, 128)],
        {"padding": "same"},
    ),
    "wav2vec k10/5": ("conv", (1, 2000, 1), [(10, 1, 128)], {"strides": 5}),
    "wav2vec k3/2": ("conv", (1, 300, 128), [(3, 128, 128)], {"strides": 2}),
    "tcn causal": ("conv", (4, 200, 64), [(3, 64, 64)], {"padding": "causal", "dilation_rate": 8}),
    "wavenet": ("conv", (1, 2000, 32), [(2, 32, 64)], {"padding": "causal", "dilation_rate": 512}),
    "whisper": ("conv", (1, 300, 80), [(3, 80, 96)], {"padding": "same"}),
    "conformer separable": ("separable_conv", (1, 200, 96), [(31, 96, 1), (1, 96, 64)], {"padding": "same"}),
    "keras example": ("conv", (1, 10, 3), [(4, 3, 2)], {}),
    "batch 8": ("conv", (8, 14, 14, 32), [(3, 3, 32, 32)], {"padding": "same"}),
}
layers = pytest.mark.parametrize("layer", LAYERS)
_computed = {}  # layer and dtype -> (instruction set, result) of the first instruction set that ran


@dtypes
@layers
def test_layer(isa, dtype, layer):
    op, shape, kernel_shapes, options = LAYERS[layer]
    case = make(op, shape, *kernel_shapes, dtype=dtype, **options)
    got = check(case)
    # Two instruction sets differ by rounding alone: the bound holds between them.
    first, other = _computed.setdefault((layer, dtype), (isa, got))
    if first != isa:
        assert_close(got, case, other, case.magnitude)


@pytest.mark.usefixtures("isa")
@dtypes
@layers
def test_same_bits_for_any_number_of_threads(dtype, layer, set_num_threads):
    op, shape, kernel_shapes, options = LAYERS[layer]
    case = make(op, shape, *kernel_shapes, dtype=dtype, **options)
    set_num_threads(1)
    want = case.run()
    for threads in (2, 3, 7):
        set_num_threads(threads)
        np.testing.assert_array_equal(case.run(), want, err_msg=f"{case}, {threads} threads")


@pytest.mark.usefixtures("isa")
def test_many_threads_of_channels_first(set_num_threads):
    for op, shape, *kernel_shapes in (
        ("conv", (1, 32, 40, 40), (3, 3, 32, 40)),
        ("conv", (1, 32, 40, 40), (3, 3, 8, 40)),
        ("depthwise_conv", (1, 150, 40, 40), (3, 3, 150, 1)),
        ("depthwise_conv", (1, 50, 40, 40), (3, 3, 50, 3)),
        ("separable_conv", (1, 40, 40, 40), (3, 3, 40, 1), (1, 1, 40, 48)),
    ):
        case = make(op, shape, *kernel_shapes, padding="same", data_format="channels_first")
        set_num_threads(1)
        want = check(case)
        for threads in (2, 7):
            set_num_threads(threads)
            np.testing.assert_array_equal(case.run(), want, err_msg=f"{case}, {threads} threads")


@pytest.mark.usefixtures("isa")
@given(case=cases())
def test_any_case(case):
    check(case)


def test_using_puts_the_instruction_set_back():
    before = kernels.current()
    with kernels.using(kernels.available()[0]):
        assert kernels.current() == kernels.available()[0]
    assert kernels.current() == before


def test_unknown_instruction_set():
    with pytest.raises(ValueError, match=r"isa must be one of .*received 'mmx'"), kernels.using("mmx"):
        pass


@pytest.mark.usefixtures("isa")
@dtypes
class TestVectorsOfChannels:
    """Few filters, or a few more than fill vectors, of a vector of channels and more."""

    WINDOWS = (
        ((5, 7), (1, 1), {}),
        ((6, 9), (3, 3), {"padding": "same"}),
        ((9, 9), (3, 2), {"strides": 2}),
        ((8, 9), (2, 3), {"dilation_rate": 2, "padding": "same"}),
        ((30,), (5,), {"padding": "causal"}),
    )

    @pytest.mark.parametrize("channels", [4, 8, 9, 15, 16, 17, 31, 32, 65])
    def test_filters(self, dtype, channels):
        for filters in (1, 2, 3, 4, 5, 7, 9, 10):
            for size, window, options in self.WINDOWS:
                check(make("conv", (2, *size, channels), (*window, channels, filters), dtype=dtype, **options))

    @pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu"])
    def test_activations_and_groups(self, dtype, activation):
        for filters in (1, 3):
            case = make("conv", (2, 5, 6, 40), (3, 3, 20, 2 * filters), dtype=dtype, padding="same")
            linear = check(case)
            want = {"relu": np.maximum(linear, 0), "relu6": np.clip(linear, 0, 6)}
            want["leaky_relu"] = np.where(linear < 0, linear * dtype(0.2), linear)
            np.testing.assert_array_equal(case.run(activation=activation), want[activation])

    def test_the_second_step_of_a_separable_layer(self, dtype):
        for channels, filters in ((16, 1), (40, 3), (65, 9)):
            case = make("separable_conv", (2, 6, 7, channels), (3, 3, channels, 1), (channels, filters), dtype=dtype)
            between = ops.depthwise_conv(case.inputs, case.kernels[0])
            want = ops.pointwise_conv(between, case.kernels[1], bias=case.bias)
            np.testing.assert_array_equal(check(case), want)


@pytest.mark.usefixtures("isa")
@dtypes
def test_depthwise_windows_of_one_row(dtype):
    """Chunks of every size, and of two."""
    for window in range(1, 34):
        for width in (5, 21):
            check(make("depthwise_conv", (1, width, 20), (window, 20, 1), dtype=dtype, padding="same"))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("window", [(1, 2), (3, 1), (2, 2), (1, 4)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_depthwise_windows_of_few_taps_at_a_stride(dtype, window, padding):
    """Any number of pixels between those that meet padding, if any; the last vector of channels moved back or not."""
    for width in (*range(4, 17), 40):
        channels = 16 + width % 2 * 5
        kernel, strides = (*window, channels, 1), 2 + width % 3
        case = make("depthwise_conv", (1, 5, width, channels), kernel, dtype=dtype, padding=padding, strides=strides)
        np.testing.assert_array_equal(case.run(activation="relu"), np.maximum(check(case), 0), err_msg=str(case))


@pytest.mark.usefixtures("isa")
@dtypes
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_several_filters_of_more_channels_than_are_loaded_together(dtype, data_format, set_num_threads):
    """Vectors, and the parts of threads, begin and end between two filters of a channel."""
    for multiplier in (2, 3, 5, 7):
        channels = 1200 // multiplier
        shape = (1, channels, 3, 4) if data_format == "channels_first" else (1, 3, 4, channels)
        kernels = [(3, 3, channels, multiplier), (1, 1, channels * multiplier, 5)]
        for op, kernel_shapes in (("depthwise_conv", kernels[:1]), ("separable_conv", kernels)):
            case = make(op, shape, *kernel_shapes, dtype=dtype, padding="same", data_format=data_format)
            set_num_threads(1)
            want = check(case)
            set_num_threads(3)
            np.testing.assert_array_equal(case.run(), want, err_msg=str(case))


@pytest.mark.usefixtures("isa")
def test_threads_that_share_filters_keep_their_sums_apart(set_num_threads):
    """Deep channels, few padded pixels: tap after tap; the last block of filters is moved back over the one before."""
    case = make("conv", (1, 3, 3, 512), (3, 3, 512, 33), dtype=np.float64, padding="same")
    set_num_threads(1)
    want = check(case)
    for threads in (2, 3):
        set_num_threads(threads)
        for _ in range(50):
            np.testing.assert_array_equal(case.run(), want)
