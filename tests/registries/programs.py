"""The two programs that these tests need, which no package index has."""

import shutil

PROGRAMS = ("skopeo", "docker-registry")
HOW_TO_GET_THEM = f"`apt-get install {' '.join(PROGRAMS)}` brings them"


def missing() -> list[str]:
    """Those that are not installed."""
    return [name for name in PROGRAMS if not shutil.which(name)]
