"""The table of instruction sets: for each processor family, from plain to best, the flags of a kernel's compilation."""

import platform

FLAGS: dict[str, dict[str, list[str]]] = {
    "x86_64": {
        "baseline": [],
        "avx2": ["-mavx2", "-mfma"],
        # Else GCC keeps addresses in vector registers, from where they come when earlier multiply-adds are done.
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512", "-mtune=skylake-avx512"],
    },
    "aarch64": {"baseline": []},  # NEON
}

_ALIASES = {"amd64": "x86_64", "arm64": "aarch64"}


def flags() -> dict[str, list[str]]:
    """Return the instruction sets that kernels exist for on this machine's family, with their compiler flags."""
    machine = platform.machine().lower()
    return FLAGS.get(_ALIASES.get(machine, machine), {"baseline": []})
