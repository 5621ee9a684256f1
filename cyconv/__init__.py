"""cyconv: Keras's convolution layers for NumPy, fast on a CPU."""

try:
    import cyconv.kernels
    import cyconv.plan  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("cyconv.plan", "cyconv.kernels"):
        raise
    raise ImportError(
        "cyconv's compiled modules are not here: this is an unbuilt checkout. "
        'Build it with "pip install -e ." from its root, or start Python in another folder to use an installed copy.'
    ) from None

from cyconv import layers, ops
from cyconv.config import (
    get_num_threads,
    limit_threads,
    set_flush_denormals,
    set_num_threads,
    set_winograd,
    show_config,
)
from cyconv.sequential import Sequential

__version__ = "0.1.0"

__all__ = [
    "Sequential",
    "__version__",
    "get_num_threads",
    "layers",
    "limit_threads",
    "ops",
    "set_flush_denormals",
    "set_num_threads",
    "set_winograd",
    "show_config",
]
