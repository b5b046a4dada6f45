"""What Go brings for the tests and a go.mod of ours pins: which version, and where in the cache folder it is."""

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from tests.controlplane.binaries import HOME


@dataclass(frozen=True)
class Pinned:
    """A Go module that go.mod and go.sum in `folder` pin, and the name of what we make of it."""

    folder: Path
    module: str
    name: str

    @property
    def version(self) -> str:
        """As go.mod has it, with its "v"."""
        wanted = rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)"
        found = re.search(wanted, (self.folder / "go.mod").read_text(), re.MULTILINE)
        assert found
        return found[1]

    @property
    def path(self) -> Path:
        """Where it is, or would be: another place for another version."""
        base = os.environ.get("XDG_CACHE_HOME") or HOME / ".cache"
        pins = b"".join((self.folder / name).read_bytes() for name in ("go.mod", "go.sum"))
        return Path(base, "rotator", self.name, f"{self.version}-{hashlib.sha256(pins).hexdigest()[:12]}", self.name)
