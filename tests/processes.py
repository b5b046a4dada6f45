"""Programs that tests start: they end with the tests, whatever happens."""

import shutil
import signal
import subprocess


def dying_with_us() -> list[str]:
    """The beginning of a command that the kernel ends with this process, however that ends."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ask the program to end, and insist after five seconds."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
