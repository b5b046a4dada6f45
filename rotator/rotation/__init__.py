"""The pass: gather, plan, mint, probe, apply, report. `run`, `once` and `check` are the same pass.

`passes.py` is the pass itself; `minting.py` holds the credentials in memory and how they come there; `apply.py` writes;
`report.py` is what a pass found and did, for logs, tables, JSON and the exit code alike.
"""

from rotator.rotation.minting import Minting
from rotator.rotation.passes import Rotation
from rotator.rotation.report import Outcome, RegistryStatus, Report, Result

__all__ = ["Minting", "Outcome", "RegistryStatus", "Report", "Result", "Rotation"]
