"""The image: built as its Dockerfile says, and run as its user on a tree in which nothing can be written."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml

from rotator import __version__
from rotator.manifests import USER, Wanted, manifests
from tests.build import config
from tests.commands.shell import TEAMS, Shell, shell_on
from tests.image.dockerfile import DOCKERFILE, REPOSITORY, Image, built, instructions
from tests.outside import SECRET
from tests.waiting import PATIENCE, eventually

HOW_TO_GET_IT = "install one that other users may run, as the Debian package python3-venv brings it"
AS_ROOT = os.geteuid() == 0
ITS_USER: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if AS_ROOT else {}
"""Who the image says, where we may be somebody else."""

REVISION = "5ca1ab1e" * 5
UNCHECKED = 0b01
"""The flags of bytecode that goes by the hash of its source and is believed unseen (PEP 552)."""


def base_python() -> Path | None:
    """A Python that the user of the image may run, and that can make environments."""
    for python in (Path(sys.executable).resolve(), Path("/usr/bin/python3")):
        if python.exists() and (not AS_ROOT or _is_open(python)) and _is_fit(python):
            return python
    return None


def _is_open(path: Path) -> bool:
    return all(each.stat().st_mode & 0o005 == 0o005 for each in (path, *path.parents))


def _is_fit(python: Path) -> bool:
    code = "import ensurepip, sys; raise SystemExit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0  # noqa: S603


@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """One that every user may look into, other than those of pytest."""
    with tempfile.TemporaryDirectory(prefix="rotator-image-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="session")
def image(directory: Path) -> Image:
    """Built once; the environment that stands for the base image has a pip."""
    python = base_python()
    if python is None:
        pytest.skip(f"no Python for another user: {HOW_TO_GET_IT}")
    return built(directory, python, VERSION=__version__, REVISION=REVISION)


@pytest.fixture
def shell(directory: Path) -> Iterator[Shell]:
    """A shell in the image: its variables, its user, its one writable directory."""
    with tempfile.TemporaryDirectory(dir=directory) as made, shell_on(Path(made)) as outside:
        Path(made).chmod(0o755)
        yield outside


@contextmanager
def started(image: Image, outside: Shell, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """As the Pod starts it: entry point and words, as its user, with the variables of its identities; then ended."""
    authority = Path(outside.environment["REQUESTS_CA_BUNDLE"]).parent
    for each in (outside.directory, *outside.directory.rglob("*"), authority, *authority.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)
    process = subprocess.Popen(  # noqa: S603  (our own program, found by the PATH of the image)
        [*image.entrypoint, *(words or image.command)],
        env=outside.environment | image.environment,
        cwd=image.path(image.workdir),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **ITS_USER,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def state(image: Image) -> set[tuple[str, int]]:
    """Every file of the image but in the writable directory, and when it was changed (nanoseconds)."""
    writable = image.path("/tmp")  # noqa: S108  (the emptyDir)
    return {
        (str(path), path.lstat().st_mtime_ns)
        for path in (image.root, *image.root.rglob("*"))
        if path != writable and writable not in path.parents
    }


def left_behind(image: Image) -> set[str]:
    """What its user has in the directories of this machine that anybody may write to."""
    places = [Path(each) for each in ("/tmp", "/var/tmp", "/dev/shm")]  # noqa: S108  (to look into)
    mine = {path for place in places if place.is_dir() for path in place.iterdir() if _owner(path) == USER}
    return {str(path) for path in mine if path not in image.root.parents}


def _owner(path: Path) -> int | None:
    with suppress(FileNotFoundError):  # others tidy up at the same time
        return path.lstat().st_uid
    return None


def test_a_pass_runs_where_nothing_can_be_written(image: Image, shell: Shell) -> None:
    """The real SDKs too: every Secret is there, and the tree is as it was."""
    before, others = state(image), left_behind(image)
    with started(image, shell, "once") as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    assert all(shell.api.store.get("secrets", team, SECRET) for team in TEAMS)
    assert state(image) == before
    assert left_behind(image) <= others


def test_its_user_can_change_nothing_of_it(image: Image) -> None:
    """By no mode, and as no owner, who may change modes; but for /tmp, where its HOME and its working directory are."""
    but_for = image.path("/tmp")  # noqa: S108  (of the image)
    searched = f"find {image.root} -path {but_for} -prune -o ! -type l ( -writable -o -user {USER} ) -print"
    found = subprocess.run(  # noqa: S603  (a fixed program)
        searched.split(),
        capture_output=True,
        text=True,
        check=False,
        **ITS_USER,
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
    at_home = ["/bin/sh", "-c", 'test -w "$HOME" && test -w .']
    cwd = image.path(image.workdir)
    assert subprocess.run(at_home, env=image.environment, cwd=cwd, check=False, **ITS_USER).returncode == 0  # noqa: S603


def test_the_daemon_runs_and_ends(image: Image, shell: Shell) -> None:
    """What the image does when it is told nothing else: `run`, and 0 after a SIGTERM."""
    with started(image, shell) as process:
        eventually(lambda: all(shell.api.store.get("secrets", team, SECRET) for team in TEAMS), "the first Secrets")
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out


def test_everything_is_compiled(image: Image) -> None:
    """Else each start would compile it again, and a read-only file system keeps nothing: half the memory, too."""
    places = image.path("/opt/rotator/lib"), image.path("/usr/local/lib")
    sources = [path for place in places for path in place.rglob("*.py") if "lib2to3" not in path.parts]
    without = [path for path in sources if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))]
    assert len(sources) > 1000
    assert any(path.is_relative_to(places[1]) for path in sources)
    assert [path for path in without if "tests" not in path.parts and "templates" not in path.parts] == []


def test_bytecode_holds_no_clock_and_is_believed(image: Image) -> None:
    """So that an image is the same when it is built again, and a start reads no source."""
    flags = {path: int.from_bytes(path.read_bytes()[4:8], "little") for path in image.root.rglob("*.pyc")}
    assert {str(path) for path, each in flags.items() if each != UNCHECKED} == set()


def test_only_what_the_lock_names_is_in_it(image: Image) -> None:
    """And rotator: no pip, no compiler of wheels, no source, nothing of the developers."""
    found = {path.name.split("-")[0].lower().replace("_", "-") for path in image.root.rglob("*.dist-info")}
    locked = set(re.findall(r"^([a-z0-9-]+)==", (REPOSITORY / "locks/runtime.txt").read_text(), re.MULTILINE))
    assert found - {"rotator"} <= locked
    assert "rotator" in found
    assert found & {"pip", "hatchling", "pytest"} == set()
    base = {image.path(place) for place in ("/tmp", "/usr")}  # noqa: S108  (of the image)
    assert set(image.root.iterdir()) - base == {image.path("/opt")}
    assert set(image.path("/opt").iterdir()) == {image.path("/opt/rotator")}


def test_both_stages_are_of_one_slim_base() -> None:
    """A release names one digest for both, and another Python would find no package; it is one that rotator is for."""
    read = list(instructions(DOCKERFILE.read_text()))
    assert [rest.split()[0] for name, rest in read if name == "FROM"] == ["${BASE}", "${BASE}"]
    base = dict(rest.split("=") for name, rest in read if name == "ARG")["BASE"]
    version = re.fullmatch(r"docker\.io/library/python:(3\.\d+)-slim-[a-z]+", base)
    assert version, base
    known = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {version[1]}" in known


@pytest.mark.parametrize("lock", ["build", "runtime"])
def test_a_package_without_its_hash_is_refused(tmp_path: Path, lock: str) -> None:
    """By what installs from this lock file: pip alone asks for every hash only where a line has one."""
    with ZipFile(tmp_path / "one-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("one-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1\n")
        wheel.writestr("one-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("one-1.dist-info/RECORD", "")
    known = hashlib.sha256((tmp_path / "one-1-py3-none-any.whl").read_bytes()).hexdigest()
    steps = [
        step for name, rest in instructions(DOCKERFILE.read_text()) if name == "RUN" for step in rest.split(" && ")
    ]
    (step,) = (step for step in steps if f"-r locks/{lock}.txt" in step)
    words = re.sub(r"^python -m pip (--python \S+ )?install", "-m pip install --dry-run --no-index -f .", step).split()
    (tmp_path / "locks").mkdir()

    def installed(line: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "locks" / f"{lock}.txt").write_text(line)
        return subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603

    assert installed(f"one==1 --hash=sha256:{known}").returncode == 0
    refused = installed("one==1")
    assert refused.returncode == 1
    assert "Hashes are required" in refused.stderr


def test_it_says_what_it_is_and_where_it_is_asked(image: Image) -> None:
    """Version and revision, as they were given to the build; and the ports that the Pod names."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    said = {name.removeprefix("org.opencontainers.image."): text for name, text in image.labels.items()}
    assert (said["title"], said["licenses"]) == (project["name"], project["license"])
    assert (said["version"], said["revision"]) == (__version__, REVISION)
    (deployment,) = (each for each in manifests(config(), "", Wanted()) if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert image.ports == {port["containerPort"] for port in container["ports"]}


def test_the_last_instructions_are_what_a_policy_engine_asks_for() -> None:
    """A user by number, no shell between us and the signals; and one version of package, chart and tag."""
    last = dict(instructions(DOCKERFILE.read_text()))
    assert last["USER"] == f"{USER}:{USER}"
    assert (last["ENTRYPOINT"], last["CMD"]) == ('["rotator"]', '["run"]')
    chart = yaml.safe_load((REPOSITORY / "deploy/chart/Chart.yaml").read_text())
    assert {chart["version"], chart["appVersion"], Wanted().image.partition(":")[2]} == {__version__}


@pytest.mark.parametrize("line", ["!rotator", "!locks/runtime.txt", "**/__pycache__"])
def test_what_is_not_needed_stays_outside(line: str) -> None:
    """The .dockerignore lets in what is copied, and nothing else."""
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert line in ignored
    copied = {
        word
        for name, rest in instructions(DOCKERFILE.read_text())
        if name == "COPY" and not rest.startswith("--from")
        for word in rest.split()[:-1]
    }
    assert copied == {each[1:] for each in ignored if each.startswith("!")}
