"""Measure every library on every layer; write the tables of README.md and docs/performance.md and the plot.

    python benchmarks/table.py                      measure, print
    python benchmarks/table.py --write              ... and write the documents
    python benchmarks/table.py resnet_56_64_3x3     these layers only

Each round runs each library in a process of its own, one after the other, and the smallest time of all rounds
counts. The ratio is the best other library's time over cyconv's: above 1, cyconv is ahead.
"""

import argparse
import datetime
import json
import math
import platform
import re
import subprocess
import sys
import time
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from layers import LAYERS
from peers import PEERS, Unsupported, check, problem

import cyconv
from cyconv.config import info

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("numpy", "torch", "onnxruntime", "ai-edge-litert", "scipy")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layers", nargs="*", metavar="LAYER", help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=cyconv.get_num_threads())
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--one", choices=PEERS, help=argparse.SUPPRESS)  # what the processes of a round are called with
    args = parser.parse_args()
    names = args.layers or list(LAYERS)
    if args.one:
        measure(args.one, names, args.threads)
        return
    seconds = compare(names, args.threads, args.rounds)
    heading, rows = (
        f"{machine()}, {args.threads} threads, {versions()}; {datetime.date.today()}",
        ratios(seconds),
    )
    print(f"{heading}\n\n{full(seconds)}\n\n{summary(rows)}")
    if args.write:
        fill(ROOT / "README.md", f"{heading}.\n\n{short(seconds, rows)}\n\n{summary(rows)}")
        fill(ROOT / "docs/performance.md", f"{heading}.\n\n{full(seconds)}\n\n{summary(rows)}")
        plot(rows, ROOT / "docs/ratios.png")


def measure(peer, names, threads):
    """Time one library on those layers; print a line of JSON for each."""
    for name in names:
        p = problem(name)
        try:
            run, result = PEERS[peer].start(p, threads)
        except Unsupported:
            continue
        check(result(), p)
        start = time.perf_counter()
        run()
        calls = max(1, int(0.01 / (time.perf_counter() - start)))  # calls in a sample, of about 10 ms
        samples = []
        while len(samples) < 3 or sum(samples) * calls < 0.5:
            start = time.perf_counter()
            for _ in range(calls):
                run()
            samples.append((time.perf_counter() - start) / calls)
        print(json.dumps([name, min(samples)]), flush=True)


def compare(names, threads, rounds):
    """Return the seconds of the fastest sample: {layer: {library: seconds}}."""
    installed = [peer for peer in PEERS if find_spec(PEERS[peer].package)]
    seconds = {name: {} for name in names}
    for _ in range(rounds):
        for peer in installed:
            command = [sys.executable, __file__, "--one", peer, "--threads", str(threads), *names]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                print(f"{peer} failed: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
            for line in done.stdout.splitlines():
                name, best = json.loads(line)
                seconds[name][peer] = min(best, seconds[name].get(peer, math.inf))
    return seconds


def ratios(seconds):
    """Return {layer: (the best other library, its time over cyconv's)}."""
    rows = {}
    for name, times in seconds.items():
        others = {peer: t for peer, t in times.items() if peer != "cyconv"}
        if "cyconv" in times and others:
            best = min(others, key=others.get)
            rows[name] = best, others[best] / times["cyconv"]
    return rows


def summary(rows):
    if not rows:
        return "Nothing to compare with is installed."
    values = [ratio for _, ratio in rows.values()]
    mean = math.exp(sum(map(math.log, values)) / len(values))
    lowest = min(rows, key=lambda name: rows[name][1])
    return (
        f"Geometric mean of the ratios {mean:.2f}; lowest {rows[lowest][1]:.2f} ({lowest}); "
        f"cyconv ahead on {sum(v > 1 for v in values)} of {len(values)} layers."
    )


def short(seconds, rows):
    """Return the table of the README: cyconv and the best of the others."""
    lines = ["| layer | cyconv, us | GFLOP/s | best other, us | ratio |", "|---|--:|--:|--:|--:|"]
    for name, (best, ratio) in rows.items():
        mine = seconds[name]["cyconv"]
        other = f"{seconds[name][best] * 1e6:,.1f} {best}"
        lines.append(f"| {name} | {mine * 1e6:,.1f} | {problem(name).flops / mine / 1e9:.0f} | {other} | {ratio:.2f} |")
    return "\n".join(lines)


def full(seconds):
    """Return the table of all libraries, in microseconds."""
    lines = [f"| layer | {' | '.join(PEERS)} |", "|---|" + "--:|" * len(PEERS)]
    for name, times in seconds.items():
        cells = (f"{times[peer] * 1e6:,.1f}" if peer in times else "" for peer in PEERS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def machine():
    """Return the processor's name and what of it is used."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
        name = found[1] if found else name
    return f"{name}, {info()['isa']}"


def versions():
    """Return the packages measured, with their versions."""
    names = {d.metadata["Name"] for d in metadata.distributions()}
    others = (f"{name} {metadata.version(name)}" for name in PACKAGES if name in names)
    return ", ".join([f"cyconv {cyconv.__version__}", *others])


def fill(path, text):
    """Replace what stands between the marks of the table."""
    content = path.read_text()
    begin, end = "<!-- begin: benchmarks/table.py -->", "<!-- end: benchmarks/table.py -->"
    before, rest = content.split(begin)
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def plot(rows, path):
    """Draw the ratio of each layer."""
    import matplotlib.pyplot as plt

    names, values = list(rows), [ratio for _, ratio in rows.values()]
    figure, axes = plt.subplots(figsize=(8, 0.22 * len(names) + 1), layout="constrained")
    axes.barh(names, values, color=["tab:blue" if v >= 1 else "tab:red" for v in values])
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.set_xlabel("time of the best other library / time of cyconv (right of 1: cyconv is faster)")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
