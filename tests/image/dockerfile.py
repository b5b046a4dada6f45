"""deploy/Dockerfile, carried out in a folder: COPY copies, RUN runs, and the last instructions say how it is started.

Each stage has the same folder, one after the other, since what is installed knows its own path. Of the base image there
is its Python, and of that one's library a little: without bytecode, but for what Python compiled as it began.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

REPOSITORY = Path(__file__).parents[2]
DOCKERFILE = REPOSITORY / "deploy" / "Dockerfile"
PLACES = ("/opt/rotator", "/src", "/dist", "/tmp", "/usr/local/lib")  # noqa: S108  (of the image)
"""Absolute paths of the image; here they lie in the folder."""

_PLACE = re.compile(rf"(?<![\w./])({'|'.join(PLACES)})(?![\w.-])")
_ABSOLUTE = re.compile(r"(?<![\w./])/[\w./-]+")

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
    ports: set[int] = field(default_factory=set)
    arguments: dict[str, str] = field(default_factory=dict)

    def path(self, place: str) -> Path:
        """Where a path of the image lies here."""
        return self.root / place.lstrip("/")

    def words(self, text: str) -> str:
        """A text of the image with the paths that they are here."""
        return _PLACE.sub(lambda match: str(self.path(match[1])), text)


def built(directory: Path, python: Path, **arguments: str) -> Image:
    """The image in this directory, from this Python; read-only but for its /tmp to everybody but root."""
    base = directory / "base"
    subprocess.run([python, "-m", "venv", base], check=True)  # noqa: S603  (Python)
    made = build(directory / "image", f"{base / 'bin'}:/usr/bin:/bin", arguments)
    shutil.rmtree(base)  # as the first stage is: what the image needs, it has
    for each in (made.root, *made.root.rglob("*")):
        if not each.is_symlink() and os.geteuid() != 0:  # what root made stays as the instructions left it
            each.chmod(each.stat().st_mode & ~0o222)
    made.path("/tmp").chmod(0o777)  # noqa: S108  (the emptyDir)
    return made


def build(root: Path, path: str, arguments: Mapping[str, str]) -> Image:
    """Carry the Dockerfile out in this folder; `path` is the PATH of the base image, with its `python`."""
    stages: dict[str, Path] = {}
    image, stage = Image(root), ""
    for name, rest in instructions(DOCKERFILE.read_text()):
        if name == "FROM":
            if root.exists():
                stages[stage] = root.rename(root.with_name(f"stage-{len(stages)}"))
            image, stage = _base(root, path), rest.partition(" AS ")[2]
        elif name == "ARG":
            argument, _, default = rest.partition("=")
            image.arguments[argument] = arguments.get(argument, default)
        else:
            _carry_out(image, name, rest, stages)
    for left in stages.values():
        shutil.rmtree(left)
    return image


def _base(root: Path, path: str) -> Image:
    image = Image(root, {"PATH": path})
    image.path("/tmp").mkdir(parents=True)  # noqa: S108  (of the image)
    library, some = image.path("/usr/local/lib/python3"), Path(json.__file__).parent
    shutil.copytree(some, library / some.name, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = ("python", "-m", "py_compile", library / some.name / "__init__.py")
    subprocess.run(compiled, env={"PATH": path}, check=True)  # noqa: S603  (Python)
    return image


def _carry_out(image: Image, name: str, rest: str, stages: Mapping[str, Path]) -> None:
    match name:
        case "ENV":
            image.environment |= _assignments(image.words(rest), image.environment)
        case "WORKDIR":
            image.workdir = rest
            image.path(rest).mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(image, rest.split(), stages)
        case "RUN":
            _run(image, rest)
        case "USER":
            image.user = rest
        case "LABEL":
            image.labels |= _assignments(rest, image.arguments)
        case "EXPOSE":
            image.ports |= {int(port) for port in rest.split()}
        case "ENTRYPOINT":
            image.entrypoint = json.loads(rest)
        case "CMD":
            image.command = json.loads(rest)
        case _:
            msg = f"{name} is not carried out here"
            raise ValueError(msg)


def _assignments(rest: str, known: Mapping[str, str]) -> dict[str, str]:
    found = re.findall(r"(\S+?)=(?:\"([^\"]*)\"|(\S+))", rest)
    return {
        name: re.sub(r"\$\{(\w+)\}", lambda match: known.get(match[1], match[0]), quoted or plain)
        for name, quoted, plain in found
    }


def _copy(image: Image, words: list[str], stages: Mapping[str, Path]) -> None:
    """As the .dockerignore lets it: without bytecode, but for what another stage made."""
    options = dict(word[2:].split("=") for word in words if word.startswith("--"))
    *sources, target = (word for word in words if not word.startswith("--"))
    origin = stages[options.pop("from")] if "from" in options else REPOSITORY
    ignored = shutil.ignore_patterns("__pycache__") if origin == REPOSITORY else None
    here = image.path(str(PurePosixPath(image.workdir) / target))
    for source in sources:
        found = origin / source.lstrip("/")
        if found.is_dir():
            shutil.copytree(found, here, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        else:
            here.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, here / found.name)
    if owner := options.pop("chown", None):
        for each in (here, *here.rglob("*")):
            os.chown(each, *map(int, owner.split(":")), follow_symlinks=False)
    if options:
        msg = f"COPY is not carried out here with {', '.join(options)}"
        raise ValueError(msg)


def _run(image: Image, command: str) -> None:
    ours = all(_PLACE.match(path) for path in _ABSOLUTE.findall(command))
    if not ours or not all(step.startswith("python ") for step in command.split(" && ")):
        msg = f"it might change this machine, and is not carried out here: {command}"
        raise ValueError(msg)
    # Where packages come from, and by whose certificates, is this machine's to say.
    mirror = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HOME")) or "_C" in name}
    subprocess.run(  # noqa: S603  (the instructions of our own Dockerfile)
        ["/bin/sh", "-ec", image.words(command)],
        cwd=image.path(image.workdir),
        env=mirror | image.environment,
        timeout=ALL,
        check=True,
    )
