"""`python -m rotator` is `rotator`."""

from rotator.cli import main

if __name__ == "__main__":
    main()
