"""skopeo, a real client: each call is a process that knows nothing but an auth file and the way to the sandbox."""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rotator.sandbox.internet import Internet
from tests.registries import image as images
from tests.waiting import PATIENCE


@dataclass(frozen=True)
class Pull:
    """What came of it, and skopeo's words if it failed."""

    ok: bool
    message: str

    @property
    def refused(self) -> bool:
        """Whether the registry said that this credential, or none, opens nothing."""
        return not self.ok and "unauthorized" in self.message


def pull(image: str, authfile: bytes | None, net: Internet) -> Pull:
    """Pull the image, layers and all, with exactly this auth file, or without any."""
    with tempfile.TemporaryDirectory(prefix="rotator-skopeo-") as name:
        home = Path(name)
        return _run(home, net, "copy", *_authfile(home, authfile), f"docker://{image}", f"dir:{home / 'image'}")


def inspect(image: str, authfile: bytes | None, net: Internet) -> Pull:
    """Read manifest and configuration of the image."""
    with tempfile.TemporaryDirectory(prefix="rotator-skopeo-") as name:
        home = Path(name)
        return _run(home, net, "inspect", "--no-tags", *_authfile(home, authfile), f"docker://{image}")


def auth_file(entries: Mapping[str, tuple[str, str]]) -> bytes:
    """An auth file with user name and password for each key."""
    encoded = {key: base64.b64encode(":".join(entry).encode()).decode() for key, entry in entries.items()}
    return json.dumps({"auths": {key: {"auth": auth} for key, auth in encoded.items()}}).encode()


def push(image: str, user: str, password: str, net: Internet) -> None:
    """Push a tiny image of this name."""
    with tempfile.TemporaryDirectory(prefix="rotator-skopeo-") as name:
        home = Path(name)
        images.write(home / "image", image)
        done = _run(home, net, "copy", f"--dest-creds={user}:{password}", f"oci:{home / 'image'}", f"docker://{image}")
        assert done.ok, done.message


def _authfile(home: Path, content: bytes | None) -> list[str]:
    if content is None:
        return []
    path = home / "auth.json"
    path.write_bytes(content)
    return [f"--authfile={path}"]


def _run(home: Path, net: Internet, command: str, *words: str) -> Pull:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home),
        # As root its cache of blobs is one of the whole machine, and as anybody else one below HOME: this variable says
        # that root is not really root (containers/image, internal/rootless and pkg/blobinfocache/default.go).
        "_CONTAINERS_ROOTLESS_UID": "1",
        **net.environment(),
    }
    done = subprocess.run(  # noqa: S603  (skopeo with the words of a test)
        ["skopeo", "--insecure-policy", command, *words],  # noqa: S607  (found in PATH, as the fixture has checked)
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Pull(done.returncode == 0, done.stderr.strip())
