#!/usr/bin/env python3
"""Time and memory of fitting a whitening on a file of embeddings, beside bare BLAS and scikit-learn's IncrementalPCA.

    OMP_NUM_THREADS=1 python eval/benchmarks/whitening.py --rows 1000000 --width 768 --repeats 3

A float32 file is made in a temporary folder, part by part, and opened as a memory map. Each measure runs in a process
of its own, and the measures alternate. Printed: medians of the seconds and of the processor's seconds (the fairer
figure on a shared machine), and the peak resident memory of the process.

whitening       `Whitening.fit` on the memory map: one pass, then the eigenvectors
syrk float64    the seconds spent inside BLAS dsyrk alone, on the same rows: reading and conversion are not counted
syrk float32    the same for ssyrk, half the work and seven digits
incremental     scikit-learn's `IncrementalPCA(whiten=True).partial_fit`, batches of 5 × width as it takes itself. Its
                time is proportional to the batches, so with --incremental-rows it sees the first rows only, and its
                seconds are scaled up (marked ~)
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

MEASURES = ("whitening", "syrk float64", "syrk float32", "incremental")
_PART = 4096


def make_file(file: Path, n_rows: int, width: int) -> None:
    """Correlated rows with a mean, in parts: a random walk along the columns, as unequal in variance as embeddings."""
    rng = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(n_rows, width))
    mixing = rng.normal(size=(width, width)).astype(np.float32) * np.geomspace(1.0, 1e-2, width, dtype=np.float32)
    for start in range(0, n_rows, _PART):
        part = rows[start : start + _PART]
        part[:] = rng.standard_normal(size=part.shape, dtype=np.float32) @ mixing.T + 3.0
    rows.flush()


class Watch:
    """Seconds inside `with` blocks, summed: by the clock, and of this process's processor time."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def __enter__(self) -> None:
        self.started = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self.started[0]
        self.cpu += time.process_time() - self.started[1]


def whitening(rows: Any, watch: Watch) -> None:
    """Ours."""
    from sentemb.postprocess.whitening import Whitening

    with watch:
        Whitening(n_components=None, eigenvalue_floor=0.0, shrinkage=None, form="pca", ddof=1).fit(rows)


def syrk(rows: Any, watch: Watch, dtype: str) -> None:
    """BLAS alone: the sum of X Xᵀ over parts, nothing centred or checked."""
    from scipy.linalg.blas import dsyrk, ssyrk

    call, total = (dsyrk if dtype == "float64" else ssyrk), np.zeros((rows.shape[1],) * 2, dtype=dtype, order="F")
    for start in range(0, len(rows), _PART):
        part = np.array(rows[start : start + _PART], dtype=dtype)
        with watch:
            total = call(1.0, part.T, beta=1.0, c=total, overwrite_c=1)


def incremental(rows: Any, watch: Watch) -> None:
    """scikit-learn, one batch at a time."""
    from sklearn.decomposition import IncrementalPCA

    model, batch = IncrementalPCA(whiten=True), 5 * rows.shape[1]
    for start in range(0, len(rows), batch):
        part = np.array(rows[start : start + batch])
        if len(part) >= rows.shape[1]:  # it refuses a batch with fewer rows than components
            with watch:
                model.partial_fit(part)


def run_one(measure: str, file: Path, limit: int) -> dict[str, float]:
    """One measure in this process."""
    rows, watch, scale = np.load(file, mmap_mode="r"), Watch(), 1.0
    if measure == "incremental":
        incremental(rows[:limit], watch)
        scale = len(rows) / min(limit, len(rows))
    elif measure == "whitening":
        whitening(rows, watch)
    else:
        syrk(rows, watch, measure.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"wall": watch.wall * scale, "cpu": watch.cpu * scale, "peak_mb": peak}


def measured(measure: str, file: Path, limit: int) -> dict[str, float]:
    """One measure in a process of its own."""
    found: dict[str, float] = json.loads(in_a_process("--measure", measure, file=file, limit=limit))
    return found


def in_a_process(*arguments: str, file: Path, limit: int) -> str:
    """Runs this script again. A process starts with its parent's peak memory, so the parent must do nothing large."""
    command = [sys.executable, __file__, *arguments, "--file", str(file), "--incremental-rows", str(limit)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Makes the file, alternates the measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--incremental-rows", type=int, default=None, help="rows that IncrementalPCA sees; default all")
    parser.add_argument("--measure", choices=(*MEASURES, "make"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    limit = args.incremental_rows or args.rows
    if args.measure == "make":
        make_file(args.file, args.rows, args.width)
        return
    if args.measure:
        print(json.dumps(run_one(args.measure, args.file, limit)))
        return
    found: dict[str, list[dict[str, float]]] = {measure: [] for measure in MEASURES}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "embeddings.npy"
        size = ("--rows", str(args.rows), "--width", str(args.width))
        in_a_process("--measure", "make", *size, file=file, limit=limit)
        for _ in range(args.repeats):
            for measure in MEASURES:
                found[measure].append(measured(measure, file, limit))
                print(measure, found[measure][-1], file=sys.stderr, flush=True)
    medians = {m: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for m, runs in found.items()}
    ours = medians["whitening"]
    print(f"{args.rows} x {args.width} float32, {args.repeats} runs each\n")
    print("| measure | seconds | processor seconds | whitening / it | in processor seconds | peak MB |")
    print("|---|---|---|---|---|---|")
    for measure, m in medians.items():
        mark = "~" if measure == "incremental" and limit < args.rows else ""
        ratios = f"{ours['wall'] / m['wall']:.2f} | {ours['cpu'] / m['cpu']:.2f}"
        print(f"| {measure} | {mark}{m['wall']:.1f} | {mark}{m['cpu']:.1f} | {ratios} | {m['peak_mb']:.0f} |")


if __name__ == "__main__":
    main()
