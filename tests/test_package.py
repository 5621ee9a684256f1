"""The package as a whole: what it says of itself, what it ships, and what importing it does."""

import doctest
import hashlib
import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

import cyconv

ROOT = Path(__file__).resolve().parent.parent
DATA = files("cyconv") / "data"
COMMANDS = ("pip install -e . && python -m cyconv", 'pip install -e ".[test]" && pytest')

# The plans and kernels are compiled; the command is a program, not a library.
MODULES = sorted(m.name for m in pkgutil.walk_packages(cyconv.__path__, "cyconv.") if not m.name.endswith("__main__"))


def python(*args, cwd=None):
    """Run this interpreter in another folder and return what it did."""
    return subprocess.run([sys.executable, *args], cwd=cwd, capture_output=True, text=True)


def test_version():
    assert cyconv.__version__ == metadata.version("cyconv")
    assert re.search(rf"^## {re.escape(cyconv.__version__)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_numpy_is_all_it_needs():
    needed = [r for r in metadata.requires("cyconv") if "extra ==" not in r]
    assert [re.split(r"\W", r)[0] for r in needed] == ["numpy"]


@pytest.mark.parametrize("extra", ["test", "parity", "bench"])
def test_extras_that_run_pytest_bring_the_plugin_that_its_configuration_names(extra):
    needed = [r for r in metadata.requires("cyconv") if re.search(rf"extra == ['\"]{extra}['\"]", r)]
    assert {"pytest", "pytest-timeout"} <= {re.match(r"[\w-]+", r)[0] for r in needed}


def test_public_names():
    for name in cyconv.__all__:
        assert hasattr(cyconv, name)


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_has_the_command(command):
    assert f"    {command}" in (ROOT / "README.md").read_text().splitlines()


# Data


@pytest.mark.parametrize("name, dtype, ndim", [("photo.npy", np.uint8, 3), ("sound.npy", np.int16, 1)])
def test_data(name, dtype, ndim):
    content = (DATA / name).read_bytes()
    assert len(content) < 100_000
    with (DATA / name).open("rb") as file:
        array = np.load(file, allow_pickle=False)
    assert array.dtype == dtype
    assert array.ndim == ndim
    provenance = (DATA / "PROVENANCE.md").read_text()
    section = provenance.split(f"## {name}")[1].split("\n## ")[0]
    assert hashlib.sha256(content).hexdigest() in section
    for row in ("work", "author", "licence", "taken from", "changed"):
        assert f"| {row} |" in section


def test_typed():
    assert (files("cyconv") / "py.typed").is_file()
    assert (files("cyconv") / "plan.pyi").is_file()


# Import


def test_import_of_an_unbuilt_checkout_says_what_to_run(tmp_path):
    shutil.copytree(ROOT / "cyconv", tmp_path / "cyconv", ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__"))
    # An editable install would find the compiled modules of its own tree.
    program = "import sys; sys.meta_path = [f for f in sys.meta_path if 'Editable' not in repr(f)]; import cyconv"
    done = python("-c", program, cwd=tmp_path)
    assert done.returncode == 1
    assert "unbuilt checkout" in done.stderr
    assert "pip install -e ." in done.stderr


def test_import_pulls_in_nothing_but_numpy():
    program = (
        "import sys, numpy; before = set(sys.modules); import cyconv;"
        "print(*{name.split('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    extra = set(python("-c", program).stdout.split())
    assert extra - {"numpy", "cyconv", "cython_runtime"} == {
        n for n in extra if n.startswith(("_cython_", "__editable__"))
    }


def test_import_changes_no_state_of_numpy():
    program = "import numpy as np; a = np.geterr(); import cyconv; assert np.geterr() == a"
    assert python("-W", "error", "-c", program).returncode == 0


# Examples


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    module = importlib.import_module(name) if runs_here(name) else pytest.skip("this CPU does not run it")
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def runs_here(name):
    """Whether the module can be imported: the kernels of another instruction set cannot."""
    isa = re.fullmatch(r"cyconv\.kernels\._([^_]+)_float\d+", name)
    return isa is None or isa[1] in cyconv.kernels.available()


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/layers.md", "docs/ops.md"])
def test_examples_of_the_documents(name):
    text = (ROOT / name).read_text().replace("```", "")  # a fence would count as output
    test = doctest.DocTestParser().get_doctest(text, {}, name, name, 0)
    assert test.examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert runner.run(test).failed == 0


def test_no_network_and_nothing_named_by_data():
    """Neither on import nor while every kind of layer runs."""
    code = (
        "import sys, numpy as np\n"
        "events = []\n"
        "sys.addaudithook(lambda event, _: event.startswith('socket.') and events.append(event))\n"
        "import cyconv\n"
        "from cyconv import layers\n"
        "for kind in (layers.Conv1D, layers.DepthwiseConv1D, layers.SeparableConv1D):\n"
        "    options = {} if kind is layers.DepthwiseConv1D else {'filters': 4}\n"
        "    kind(kernel_size=3, **options)(np.ones((1, 9, 3), np.float32))\n"
        "for kind in (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D):\n"
        "    options = {} if kind is layers.DepthwiseConv2D else {'filters': 4}\n"
        "    kind(kernel_size=3, **options)(np.ones((1, 9, 9, 3), np.float32))\n"
        "import socket; socket.gethostname()\n"
        "print(events)\n"
    )
    done = python("-c", code)
    assert done.stdout.strip() == "['socket.gethostname']", done.stderr  # the hook hears, and heard of nothing else


def test_a_second_interpreter_is_refused():
    """An ImportError there, and the first interpreter goes on."""
    code = (
        "import cyconv, numpy as np\n"
        "try:\n"
        "    import _interpreters as interpreters\n"
        "except ImportError:\n"
        "    import _xxsubinterpreters as interpreters\n"
        "other = interpreters.create()\n"
        "code = 'try:\\n    import cyconv.plan\\nexcept ImportError: print(\"refused\", flush=True)'\n"
        "interpreters.run_string(other, code)\n"
        "print(cyconv.ops.conv(np.ones((1, 3, 1)), np.ones((3, 1, 1))).item())\n"
    )
    done = python("-W", "ignore", "-c", code)
    assert done.stdout.split() == ["refused", "3.0"], done.stderr
