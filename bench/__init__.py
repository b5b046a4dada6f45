"""What rotator promises in seconds and MiB, measured: each module prints a table (`make bench`)."""
