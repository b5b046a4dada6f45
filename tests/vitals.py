"""What the kernel knows of a process: its memory, processor time, threads and open files."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_KIB = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look at a process.

    Memory in MiB: `rss` is what is resident, `pss` counts shared pages by their share, `peak` is the most that was ever
    resident. `cpu` is in seconds since its start.
    """

    rss: float
    pss: float
    peak: float
    cpu: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Self:
        """As it is now. Raises OSError where there is no such process (proc_pid_status(5), proc_pid_smaps(5))."""
        process = Path("/proc") / str(pid)
        status = _mebibytes((process / "status").read_text())
        return cls(
            rss=status["VmRSS"],
            pss=_mebibytes((process / "smaps_rollup").read_text())["Pss"],
            peak=status["VmHWM"],
            cpu=cpu_seconds(pid),
            threads=len(list((process / "task").iterdir())),
            descriptors=len(list((process / "fd").iterdir())),
        )


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, of user and system: utime and stime of proc_pid_stat(5)."""
    after_name = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def _mebibytes(text: str) -> dict[str, float]:
    return {name: int(kib) / 1024 for name, kib in _KIB.findall(text)}
