"""Build: one extension for the plans, one for each (instruction set, dtype) from the one kernel source.

Environment: CYCONV_OPENMP=0 builds without threads, CYCONV_SCALAR=1 the portable form without vectors (no others);
CC chooses the compiler, as always.
"""

import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.sdist import sdist

REALS = {"float32": ("float", 4), "float64": ("double", 8)}
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": False,
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    # The interpreter lock guards the scratch pool and the plans' shares: free-threaded Python turns it on again.
    "freethreading_compatible": False,
    "subinterpreters_compatible": "no",
}
SCALAR = os.environ.get("CYCONV_SCALAR") == "1"
OPENMP = os.environ.get("CYCONV_OPENMP") != "0"
ISAS = {"baseline": []} if SCALAR else runpy.run_path("cyconv/kernels/isa.py")["flags"]()

# No -ffast-math: it breaks NaN, and linking with it changes denormals for the whole process.
# No vectorising of neighbouring scalars: it moves a tile's pointers to vector registers, and its sums out of them.
# No debugging information: it holds the paths of the build, and the same sources are to give the same bytes.
COMMON = ["-O3", "-g0", "-fno-math-errno", "-fno-tree-slp-vectorize"]
# The sums of a register tile stay in registers only where its loops over pixels and vectors are unrolled whole.
UNROLL = {
    "gcc": [
        f"--param={name}"
        for name in ("max-completely-peeled-insns=8000", "max-completely-peel-times=64", "max-peel-branches=4000")
    ],
    "clang": ["-mllvm", "-unroll-threshold=8000"],
}


class Build(build_ext):
    """Adds the flags of the compiler at hand, after asking it for OpenMP."""

    def build_extensions(self):
        compiler = self.compiler.compiler_so[0] if self.compiler.compiler_type == "unix" else "msvc"
        version = (
            "" if compiler == "msvc" else subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
        )
        family = "clang" if "clang" in version else "gcc" if version else "msvc"
        openmp = self.probe(["/openmp"] if family == "msvc" else ["-fopenmp"]) if OPENMP else []
        for extension in self.extensions:
            extension.extra_compile_args += openmp
            extension.extra_link_args += openmp
            if family != "msvc":
                extension.extra_compile_args += [*COMMON, *UNROLL[family]]
        self.parallel = self.parallel or os.cpu_count()
        super().build_extensions()

    def probe(self, flags):
        """Return the OpenMP flags if a program with them compiles, links and runs."""
        source = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "probe.c")
            path.write_text(source)
            try:
                objects = self.compiler.compile([str(path)], output_dir=folder, extra_postargs=flags)
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=flags)
                subprocess.run([str(pathlib.Path(folder, "probe"))], check=True)
            except Exception as error:
                sys.exit(
                    f"cyconv: the C compiler does not build OpenMP programs ({error}).\n"
                    "Install its OpenMP library (Debian: libgomp1 with gcc, libomp-dev with clang), "
                    "or build without threads: CYCONV_OPENMP=0 pip install ."
                )
        return flags


class Source(sdist):
    """Takes along what is not installed."""

    def make_distribution(self):
        kept = [p for folder in ("tests", "docs", "benchmarks") for p in pathlib.Path(folder).rglob("*")]
        self.filelist.extend(str(p) for p in kept if p.suffix in (".py", ".md", ".png"))
        self.filelist.extend([".ci/run", "CHANGELOG.md"])
        super().make_distribution()


def extension(name, source, macros=(), flags=()):
    """Return the cythonized extension; each has a folder of its own, since some share a source."""
    made = Extension(
        name,
        [source],
        include_dirs=[np.get_include(), "cyconv", "cyconv/kernels"],
        depends=[str(p) for p in sorted(pathlib.Path("cyconv").rglob("*.[ph]*")) if p.suffix in (".pxi", ".pxd", ".h")],
        define_macros=[
            ("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION"),
            ("NPY_TARGET_VERSION", "NPY_1_22_API_VERSION"),  # handlers of memory
        ],
    )
    (made,) = cythonize([made], build_dir=f"build/{name}", compiler_directives=DIRECTIVES)
    # After cythonize, which would give them to every later user of the source too.
    made.extra_compile_args = [*macros, *flags]
    return made


def extensions():
    yield extension("cyconv.plan", "cyconv/plan.pyx")
    for isa, flags in ISAS.items():
        for dtype, (real, size) in REALS.items():
            macros = [f"-DREAL={real}", f"-DREAL_BYTES={size}", *(["-DCYCONV_SCALAR"] if SCALAR else [])]
            yield extension(f"cyconv.kernels._{isa}_{dtype}", "cyconv/kernels/kernel.pyx", macros, flags)


setup(ext_modules=list(extensions()), cmdclass={"build_ext": Build, "sdist": Source})
