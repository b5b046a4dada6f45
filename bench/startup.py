"""How long from the start of `rotator once` to its first write, on the sandbox: python -m bench.startup

Prints the median of some runs in seconds, from the moment the process is started until the API server has taken its
first Secret, and how often the bare import of the program fits into that. And how long the program of the image, built
as its Dockerfile says, takes to start.
"""

# ruff: noqa: T201, TID251  (a script: in no package, prints its result, and measures time)

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rotator.sandbox.demo.stage import NAMESPACES, PULL_SECRET, Stage
from tests.image.dockerfile import built

RUNS = 5


def first_write() -> float:
    """Seconds until the first Secret is there; each run has a new world, so everything is minted and written."""
    with tempfile.TemporaryDirectory() as directory, Stage(Path(directory)) as stage:
        began = time.monotonic()
        stage.start_rotator()
        while not any(stage.api.store.get("secrets", name, PULL_SECRET) for name in NAMESPACES):
            if not any(replica.is_running for replica in stage.replicas):
                sys.exit(f"rotator ended before its first write:\n{stage.written_by_rotator()}")
            time.sleep(0.002)
        return time.monotonic() - began


def bare_import() -> float:
    """Seconds to import the program, and to do nothing."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import rotator.cli"], check=True)
    return time.monotonic() - began


def image_starts() -> list[float]:
    """Seconds of the image's `rotator --version`, which reads all that `run` does but the SDKs."""
    os.environ.setdefault("PIP_QUIET", "1")
    with tempfile.TemporaryDirectory() as directory:
        image = built(Path(directory), Path(sys.executable).resolve())
        program = str(image.path("/opt/rotator/bin") / image.entrypoint[0])
        return [_seconds([program, "--version"], image.environment) for _ in range(RUNS)]


def _seconds(words: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  (our own program)
    return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    writes = [first_write() for _ in range(RUNS)]
    imports = [bare_import() for _ in range(RUNS)]
    write, bare = statistics.median(writes), statistics.median(imports)
    print(f"start-up to first write: {write:.2f} s (median of {RUNS}; {min(writes):.2f} to {max(writes):.2f})")
    print(f"bare import rotator.cli: {bare:.2f} s; ratio {write / bare:.1f}")
    starts = image_starts()
    print(f"start of the image's program: {statistics.median(starts):.2f} s ({min(starts):.2f} to {max(starts):.2f})")


if __name__ == "__main__":
    main()
