"""How the C library keeps memory: for a process that reads a large cluster for a moment and then rests."""

import ctypes
from contextlib import suppress

# /usr/include/malloc.h of glibc; see mallopt(3)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8

KEPT = 128 * 1024
"""Bytes: glibc's own first threshold, which it would raise up to 32 MiB with every page that is freed again."""


def be_frugal() -> None:
    """One heap for all threads, and large blocks back to the kernel as soon as they are free. To be called first.

    Otherwise each sweep's thread leaves a heap of its own with what a page of a list took: 20 MiB with 10,000
    namespaces (measured). Where the C library is another one, nothing happens.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, KEPT), (M_TRIM_THRESHOLD, KEPT)):
            libc.mallopt(option, value)
