"""The program's first lines: `rotator`, and `python -m rotator`.

Until the commands can end well on Ctrl-C, it ends the process at once, as it does any other program: an interrupted
import would print a traceback.
"""

import signal


def main() -> None:
    """Run the command line."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from rotator import cli  # noqa: PLC0415  (the imports take a while: they come after the line above)

    cli.main()


if __name__ == "__main__":
    main()
