"""deploy/Dockerfile, carried out in a folder: COPY copies, RUN runs, and the last instructions say how it is started.

Left out is what only the base image has: `FROM`, and a `RUN` of the last stage, which touches nothing else.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"
PLACES = ("/opt/rotator", "/src", "/dist", "/tmp")  # noqa: S108  (of the image)
"""Absolute paths of the image; here they lie in the folder."""

ALL = 600.0
"""Seconds for one instruction: packages may come slowly."""


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """Each instruction and what follows it, continued lines as one, without comments."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


@dataclass
class Image:
    """What the instructions made, and how it is to be started."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "root"
    workdir: str = "/"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    def path(self, place: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / place.lstrip("/")

    def words(self, text: str) -> str:
        """A text of the image with the paths that they are here."""
        places = rf"(?<![\w./])({'|'.join(PLACES)})(?![\w.-])"
        return re.sub(places, lambda match: str(self.path(match[1])), text)


def built(directory: Path, python: Path) -> Image:
    """The image in this directory, from this Python, read-only but for its /tmp."""
    base = directory / "base"
    subprocess.run([python, "-m", "venv", base], check=True)  # noqa: S603  (Python)
    made = build(directory / "image", f"{base / 'bin'}:/usr/bin:/bin")
    shutil.rmtree(base)  # as the first stage is: what the image needs, it has
    for each in made.root.rglob("*"):
        if not each.is_symlink():
            each.chmod(each.stat().st_mode & ~0o222)
    made.path("/tmp").chmod(0o777)  # noqa: S108  (the emptyDir)
    return made


def build(root: Path, path: str) -> Image:
    """Carry the Dockerfile out in this folder; `path` is the PATH of the base image, with its `python`."""
    image = Image(root)
    for place in PLACES:
        image.path(place).mkdir(parents=True, exist_ok=True)
    stages = 0
    for name, rest in instructions(DOCKERFILE.read_text()):
        if name == "FROM":
            stages += 1
            image.environment = {"PATH": path}
        elif stages:
            _carry_out(image, name, rest, last=stages > 1)
    return image


def _carry_out(image: Image, name: str, rest: str, *, last: bool) -> None:
    match name:
        case "ENV":
            image.environment |= _assignments(image.words(rest), image.environment)
        case "WORKDIR":
            image.workdir = rest
        case "COPY" if not rest.startswith("--from=build "):
            _copy(image, rest.split())
        case "RUN" if not last:
            _run(image, rest)
        case "USER":
            image.user = rest
        case "LABEL":
            image.labels |= _assignments(rest, {})
        case "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        case "CMD":
            image.command = json.loads(rest)


def _assignments(rest: str, known: Mapping[str, str]) -> dict[str, str]:
    found = re.findall(r"(\S+?)=(?:\"([^\"]*)\"|(\S+))", rest)
    return {
        name: re.sub(r"\$\{(\w+)\}", lambda match: known.get(match[1], match[0]), quoted or plain)
        for name, quoted, plain in found
    }


def _copy(image: Image, words: list[str]) -> None:
    """As the .dockerignore lets it: without bytecode."""
    *sources, target = words
    for source in sources:
        found, here = REPOSITORY / source, image.path(image.workdir) / target
        if found.is_dir():
            shutil.copytree(found, here, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            here.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, here / found.name)


def _run(image: Image, command: str) -> None:
    # Where packages come from, and by whose certificates, is this machine's to say.
    mirror = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HOME")) or "_C" in name}
    subprocess.run(  # noqa: S603  (the instructions of our own Dockerfile)
        ["/bin/sh", "-ec", image.words(command)],
        cwd=image.path(image.workdir),
        env=mirror | image.environment,
        timeout=ALL,
        check=True,
    )
