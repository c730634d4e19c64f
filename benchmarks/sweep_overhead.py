"""What a sweep costs beside its experiment: per point, per engine, and when it is complete.

Trivial points show the overhead, others the speed-up by two workers: points that only wait show
what the engine allows, points that compute what the machine's free cores give (take those on an
idle machine).

    python benchmarks/sweep_overhead.py [points]
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr

from zerohm import sweeps

STEPS = 300_000  # of arithmetic in a point that takes some 20 ms


def trivial(x: int, seed: int) -> xr.Dataset:
    """A point that costs nothing."""
    return xr.Dataset({"y": float(x + seed)}, attrs={"method": "none"})


def busy(x: int, seed: int) -> xr.Dataset:
    """A point that keeps one core busy."""
    total = 0.0
    for step in range(STEPS):
        total = 0.5 * total + step
    return xr.Dataset({"y": total + x + seed})


def waiting(x: int, seed: int) -> xr.Dataset:
    """A point that takes 20 ms and no core."""
    time.sleep(0.02)
    return xr.Dataset({"y": float(x + seed)})


def seconds(run: Callable[[], Any]) -> float:
    """Wall-clock time of a call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def main(points: int) -> None:
    """Print a line per measurement."""
    grid = {"x": range(points // 10), "seed": range(10)}
    few = {"x": range(20), "seed": range(10)}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "r.zarr"
        took = seconds(lambda: sweeps.run(trivial, grid, store=store, progress=False))
        print(f"{points} trivial points in this process with a store: {took:.2f} s, "
              f"{1e3 * took / points:.3f} ms per point")  # fmt: skip
        took = seconds(lambda: sweeps.run(trivial, grid, store=store, progress=False))
        print(f"the same, complete: {took:.2f} s")
        shutil.rmtree(store)
        took = seconds(lambda: sweeps.run(trivial, grid, store=store, progress=False))
        print(f"the same, put together from its points: {took:.2f} s")
        sweeps.run(trivial, few, workers=2, progress=False)  # starts the workers
        took = seconds(
            lambda: sweeps.run(
                trivial, grid, store=Path(folder) / "two.zarr", workers=2, progress=False
            )
        )
        print(f"{points} trivial points in two processes with a store: "
              f"{1e3 * took / points:.3f} ms per point")  # fmt: skip
        for experiment in (waiting, busy):
            one, two = (
                min(
                    seconds(
                        lambda f=experiment, n=workers: sweeps.run(
                            f, few, workers=n, progress=False
                        )
                    )
                    for _ in range(3)
                )
                for workers in (1, 2)
            )
            print(f"200 {experiment.__name__} points of {5 * one:.0f} ms: two workers "
                  f"{one / two:.2f} times as fast as one")  # fmt: skip
    on_cluster(grid, points)


def on_cluster(grid: dict[str, Any], points: int) -> None:
    """The same on dask's scheduler and two workers, all on loopback."""
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        print("dask.distributed is not installed")
        return
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        few = {"x": range(20), "seed": range(10)}
        sweeps.run(trivial, few, client=client, progress=False)
        took = seconds(lambda: sweeps.run(trivial, grid, client=client, progress=False))
        print(f"{points} trivial points on dask, 2 workers: {1e3 * took / points:.3f} ms per point")
        two = seconds(lambda: sweeps.run(busy, few, client=client, progress=False))
        cluster.scale(1)
        client.wait_for_workers(1)
        while len(client.scheduler_info()["workers"]) > 1:
            time.sleep(0.1)
        one = seconds(lambda: sweeps.run(busy, few, client=client, progress=False))
        print(f"200 busy points on dask: two workers {one / two:.2f} times as fast as one")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
