"""What pip-audit's answer comes to: only a line that is down, or an index without advisories, is no failure."""

import json
import re
import sys
from pathlib import Path

DOWN = re.compile(
    r"^(?:requests|urllib3)\.exceptions\.\w*(?:Connection|Proxy|Timeout|SSL|HTTP)\w*: |network may be blocking",
    re.MULTILINE,
)
"""How its last words name a network, or an index, that does not let it ask."""


def audit_command(*locks: Path) -> list[str]:
    """The words that audit these lock files."""
    named = [word for lock in locks for word in ("-r", str(lock))]
    form = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    return [str(Path(sys.executable).with_name("pip-audit")), *named, *form]


def report_command(*locks: Path) -> list[str]:
    """The words that ask the index which files it would give for these lock files, and install nothing."""
    named = [word for lock in locks for word in ("-r", str(lock))]
    form = ("--require-hashes", "--no-deps", "--dry-run", "--ignore-installed", "--quiet", "--report", "-")
    return [sys.executable, "-m", "pip", "install", *named, *form]


def yanked(out: str, err: str) -> tuple[str, int]:
    """What to say of versions that their authors took back since (PEP 592), and the exit code."""
    try:
        packages = json.loads(out)["install"]
    except (ValueError, KeyError, TypeError):
        last = (err.strip().splitlines() or ["no answer"])[-1][:200]
        return f"nobody was asked for what was yanked: {last}", 0 if DOWN.search(err) else 1
    found = [each["metadata"] for each in packages if each["is_yanked"]]
    named = [f"{each['name']} {each['version']}: yanked" for each in found]
    said = f"{len(packages)} packages can be had, {len(found)} of them yanked"
    return "\n".join((*named, said)), 1 if found else 0


def verdict(out: str, err: str) -> tuple[str, int]:
    """What to say, and the exit code."""
    try:
        packages = json.loads(out)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (err.strip().splitlines() or ["no answer"])[-1][:200]
        return f"nothing was audited: {last}", 0 if DOWN.search(err) else 1
    asked = [each for each in packages if "skip_reason" not in each]
    known = [f"{each['name']} {each['version']}: {bug['id']}" for each in asked for bug in each["vulns"]]
    said = f"{len(asked)} of {len(packages)} packages were audited, {len(known)} advisories"
    if len(asked) < len(packages):
        said += "; of the others the index here knows none, or is not asked"
    return "\n".join((*known, said)), 1 if known else 0
