"""Peak memory and time of making a LightGBM dataset from Arrow against from pandas.

python benchmarks/bench_ranking.py
"""

import subprocess
import sys
import time
from pathlib import Path

from machine import machine

N_ROWS, N_COLUMNS, RUNS = 600_000, 55, 3


def peak_bytes() -> int:
    """The peak resident size of this process since it was last reset (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def measure(way: str) -> None:
    import lightgbm as lgb
    import numpy as np
    import pyarrow as pa

    rng = np.random.default_rng(0)
    rows = pa.table({f"f{i}": rng.normal(size=N_ROWS).astype(np.float32) for i in range(N_COLUMNS)})
    grades = pa.chunked_array([rng.integers(0, 5, N_ROWS).astype(np.float32)])
    sizes = pa.chunked_array([np.full(N_ROWS // 12, 12, dtype=np.int32)])
    Path("/proc/self/clear_refs").write_text("5")
    before, start = peak_bytes(), time.perf_counter()
    data = rows if way == "arrow" else rows.to_pandas()
    settings = {"max_bin": 127, "verbosity": -1, "num_threads": 1}
    lgb.Dataset(data, label=grades, group=sizes, params=settings).construct()
    print((peak_bytes() - before) / 2**20, time.perf_counter() - start)


def main() -> None:
    results: dict[str, list[tuple[float, float]]] = {"arrow": [], "pandas": []}
    for _ in range(RUNS):
        for way, runs in results.items():
            done = subprocess.run(
                [sys.executable, __file__, way], capture_output=True, text=True, check=True
            )
            megabytes, seconds = map(float, done.stdout.split())
            runs.append((megabytes, seconds))
    print(machine("lightgbm", "pyarrow", "pandas"))
    print(f"{N_ROWS:,} rows x {N_COLUMNS} columns, median of {RUNS}")
    medians = {
        way: [sorted(x)[RUNS // 2] for x in zip(*r, strict=True)] for way, r in results.items()
    }
    for way, (megabytes, seconds) in medians.items():
        print(f"{way:7} {megabytes:7.0f} MiB added at the peak, {seconds:5.2f} s")
    ratios = [b / a for a, b in zip(medians["arrow"], medians["pandas"], strict=True)]
    print(f"pandas / arrow: {ratios[0]:.1f} times the memory, {ratios[1]:.1f} times the time")


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()
