"""`python -m cyconv`: the layers on real input, arrays from files, and one line for what is wrong."""

import subprocess
import sys

import numpy as np
import pytest
import reference

from cyconv import __main__ as cli
from cyconv import _check

X = np.arange(2 * 6 * 5 * 4, dtype=np.float32).reshape(2, 6, 5, 4) / 100
W = np.sin(np.arange(3 * 2 * 4 * 3, dtype=np.float32)).reshape(3, 2, 4, 3)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Work in an empty folder that holds x.npy and w.npy."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    np.save("w.npy", W)
    return tmp_path


def run(*args):
    assert cli.main(args) == 0
    return np.load("y.npy", allow_pickle=False)


def failure(capsys, *args):
    """Return the one line on standard error of a run that exits with 2."""
    with pytest.raises(SystemExit) as exit_:
        cli.main(args)
    out, err = capsys.readouterr()
    assert exit_.value.code == 2
    assert out == ""
    assert err.startswith("python -m cyconv: error: ")
    assert err.count("\n") == 1
    return err


# Without arguments


def test_layers_run_on_the_photo_and_the_sound(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    for word in (
        "isa",
        "threads",
        "openmp",
        "Conv2D",
        "DepthwiseConv2D",
        "SeparableConv2D",
        "Conv1D",
        "GFLOP/s",
    ):
        assert word in out


def test_a_deviation_is_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(cli, "reference", lambda *args, **options: _check.reference(*args, **options) + 1e-3)
    assert cli.main([]) == 1
    assert "DEVIATES" in capsys.readouterr().out


def test_nan_is_a_deviation(monkeypatch, capsys):
    monkeypatch.setattr(cli, "reference", lambda *args, **options: _check.reference(*args, **options) * np.nan)
    assert cli.main([]) == 1


def test_as_a_command():
    done = subprocess.run([sys.executable, "-m", "cyconv", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("cyconv ")


# The reference of the command agrees with the tests' own


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("dilation_rate", [1, 2])
def test_check_conv(padding, strides, dilation_rate):
    options = {"padding": padding, "strides": strides, "dilation_rate": dilation_rate}
    bias = np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(
        _check.reference(X, (W,), bias, **options), reference.conv(X, W, bias=bias, **options), rtol=1e-12
    )


def test_check_depthwise_separable_and_causal():
    w, p = W, np.cos(np.arange(12 * 5.0)).reshape(1, 1, 12, 5)
    options = {"padding": "same", "strides": 2}
    np.testing.assert_allclose(
        _check.reference(X, (w,), depthwise=True, **options),
        reference.depthwise_conv(X, w, **options),
        rtol=1e-12,
    )
    np.testing.assert_allclose(
        _check.reference(X, (w, p), **options), reference.separable_conv(X, w, p, **options), rtol=1e-12
    )
    x, k = X.reshape(2, 30, 4), W[:, 0]
    options = {"padding": "causal", "strides": 4, "dilation_rate": 3}
    np.testing.assert_allclose(_check.reference(x, (k,), **options), reference.conv(x, k, **options), rtol=1e-12)


def test_bound_grows_with_the_reduction_and_shrinks_with_the_precision():
    ones = np.ones((1, 4, 1), np.float32), np.ones((1, 1, 1), np.float32)
    u = np.finfo(np.float32).eps / 2
    np.testing.assert_allclose(_check.bound(ones[0], (ones[1],)), 3 * u, rtol=1e-6)  # 1 product, bias, reference
    np.testing.assert_allclose(_check.bound(ones[0].astype(float), (ones[1],)), 3 * 2.0**-53, rtol=1e-6)
    long = np.ones((1, 100, 1), np.float32)
    assert _check.bound(long, (long[0, :, :, np.newaxis],)).item() == pytest.approx(102 * u * 100, rel=1e-4)


# Arrays from files


@pytest.mark.parametrize(
    "arguments, options",
    [
        ([], {}),
        (["--padding", "same", "--strides", "2"], {"padding": "same", "strides": 2}),
        (["--padding", "1", "--dilation-rate", "2,1"], {"padding": 1, "dilation_rate": (2, 1)}),
        (["--padding", "2:0,0:3", "--strides", "1,2"], {"padding": ((2, 0), (0, 3)), "strides": (1, 2)}),
    ],
)
def test_conv(files, capsys, arguments, options):
    result = run("x.npy", "w.npy", "-o", "y.npy", *arguments)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, reference.conv(X, W, **options), atol=1e-4)
    assert capsys.readouterr().out.startswith("y.npy: float32 ")


def test_bias_activation_and_data_format(files):
    np.save("x.npy", np.moveaxis(X, -1, 1))
    np.save("b.npy", np.float32([-1, 0, 1]))
    result = run(
        "x.npy",
        "w.npy",
        "-o",
        "y.npy",
        "--bias",
        "b.npy",
        "--activation",
        "relu",
        "--data-format",
        "channels_first",
    )
    expected = np.maximum(reference.conv(X, W, bias=np.float32([-1, 0, 1])), 0)
    np.testing.assert_allclose(np.moveaxis(result, 1, -1), expected, atol=1e-4)


def test_other_ops(files):
    np.save("p.npy", W.reshape(-1, 6)[:12])
    depthwise = run("x.npy", "w.npy", "-o", "y.npy", "--op", "depthwise")
    np.testing.assert_allclose(depthwise, reference.depthwise_conv(X, W), atol=1e-4)
    separable = run("x.npy", "w.npy", "p.npy", "-o", "y.npy", "--op", "separable")
    np.testing.assert_allclose(separable, reference.separable_conv(X, W, W.reshape(-1, 6)[:12]), atol=1e-4)
    np.save("p.npy", W[0, 0])
    pointwise = run("x.npy", "p.npy", "-o", "y.npy", "--op", "pointwise")
    np.testing.assert_allclose(pointwise, reference.pointwise_conv(X, W[0, 0]), atol=1e-4)


def test_output_may_replace_the_input(files):
    assert cli.main(["x.npy", "w.npy", "-o", "x.npy"]) == 0
    np.testing.assert_allclose(np.load("x.npy"), reference.conv(X, W), atol=1e-4)


def test_integer_and_fortran_ordered_input(files):
    np.save("x.npy", np.asfortranarray(X.astype(np.uint8)))
    np.testing.assert_allclose(run("x.npy", "w.npy", "-o", "y.npy"), reference.conv(X.astype(np.uint8), W), atol=1e-4)


# What can be wrong


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["x.npy"], "INPUT, KERNEL and -o OUT"),
        (["x.npy", "w.npy"], "INPUT, KERNEL and -o OUT"),
        (["x.npy", "w.npy", "w.npy", "-o", "y.npy"], "takes 1 kernel file"),
        (["x.npy", "w.npy", "-o", "y.npy", "--op", "separable"], "takes 2 kernel file"),
        (["none.npy", "w.npy", "-o", "y.npy"], "none.npy"),
        ([".", "w.npy", "-o", "y.npy"], "directory"),
        (["x.npy", "w.npy", "-o", "none/y.npy"], "none/y.npy"),
        (["x.npy", "w.npy", "-o", "y.npy", "--strides", "0"], "strides"),
        (["x.npy", "w.npy", "-o", "y.npy", "--strides", "two"], "--strides"),
        (["x.npy", "w.npy", "-o", "y.npy", "--padding", "full"], "full"),
        (["x.npy", "w.npy", "-o", "y.npy", "--padding", "1:2:3"], "--padding"),
        (["x.npy", "w.npy", "-o", "y.npy", "--activation", "rely"], "rely"),
        (["x.npy", "w.npy", "-o", "y.npy", "--op", "pointwise", "--strides", "2"], "--strides"),
        (["w.npy", "x.npy", "-o", "y.npy"], "channels"),
        (["x.npy", "w.npy", "-o", "y.npy", "--depth", "2"], "--depth"),
    ],
)
def test_bad_arguments(files, capsys, arguments, message):
    assert message in failure(capsys, *arguments)
    assert not (files / "y.npy").exists()


def npy(shape, dtype="<f4", data=b""):
    """Return the bytes of a .npy file whose header may promise more than there is."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUM",
        b"a text, no array\n" * 9,
        b"PK\x03\x04" + bytes(100),
        npy("(1, 6, 5, 4)", data=bytes(7)),
        npy("(1, 6, 5"),
        npy("(99999999999, 99999999999, 5, 4)"),
        pytest.param(
            npy("(-1, 6, 5, 4)", data=bytes(480)),
            marks=pytest.mark.skipif(np.__version__ < "2", reason="NumPy 1 reads -1 as the size that fits"),
        ),
        npy("(1, 6, 5, 4)", dtype="<c8", data=bytes(960)),
        npy("(1, 6, 5, 4)", dtype="|b1", data=bytes(120)),
        npy("(1, 6, 5, 4)", dtype="<U4", data=bytes(120 * 16)),
        npy("(0, 6, 0, 4)"),
        npy("()", data=bytes(4)),
    ],
    ids=lambda content: repr(content[-60:]),
)
def test_bad_file(files, capsys, content):
    (files / "bad.npy").write_bytes(content)
    failure(capsys, "bad.npy", "w.npy", "-o", "y.npy")
    failure(capsys, "x.npy", "bad.npy", "-o", "y.npy")
    assert not (files / "y.npy").exists()


def test_pickled_objects_are_refused_unread(files, capsys):
    np.save("bad.npy", np.array([{"an": "object"}]), allow_pickle=True)
    assert "bad.npy" in failure(capsys, "bad.npy", "w.npy", "-o", "y.npy")
