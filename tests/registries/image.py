"""A tiny image, written by hand in the OCI's layout: a configuration and one layer with one file."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYOUT = '{"imageLayoutVersion": "1.0.0"}'
PLATFORM = {"architecture": "amd64", "os": "linux"}


def write(directory: Path, content: str) -> None:
    """Write an image whose only file says `content`, tagged `latest`."""
    layer = _tar(content.encode())
    rootfs = {"type": "layers", "diff_ids": [_digest(layer)]}
    config = _blob(directory, CONFIG, json.dumps(PLATFORM | {"rootfs": rootfs}).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [_blob(directory, LAYER, gzip.compress(layer, mtime=0))],
    }
    written = _blob(directory, MANIFEST, json.dumps(manifest).encode())
    tagged = written | {"annotations": {"org.opencontainers.image.ref.name": "latest"}}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged]}))
    (directory / "oci-layout").write_text(LAYOUT)


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("hello")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _blob(directory: Path, media_type: str, content: bytes) -> dict[str, object]:
    """Store a blob; its descriptor."""
    digest = _digest(content)
    path = directory / "blobs" / digest.replace(":", "/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
