"""A candidate as a program: it says over and over whether it may write. For tests that kill and freeze it.

    python -m tests.cluster.standing KUBECONFIG NAMESPACE NAME IDENTITY LEASE RENEW RETRY

Each line is the seconds since boot before and after the question, and the answer.
"""

import random
import sys
import time
from datetime import timedelta
from functools import partial
from pathlib import Path

from rotator import logs
from rotator.clock import utc_now
from rotator.cluster.lease import Lease, since_boot
from rotator.cluster.login import log_in
from rotator.leadership import Candidate, Timing

ASK_EVERY = 0.02


def main(kubeconfig: str, namespace: str, name: str, identity: str, *durations: str) -> None:
    """Stand for the Lease until somebody ends this process."""
    logs.configure()
    timing = Timing(*(timedelta(seconds=float(duration)) for duration in durations))
    candidate = Candidate(namespace, name, identity, timing)
    lease = Lease(partial(log_in, Path(kubeconfig), None), candidate, clock=utc_now, draw=random.random)
    lease.start()
    while True:
        before = since_boot()
        holds = lease.holds()
        sys.stdout.write(f"{before:.6f} {since_boot():.6f} {holds:d}\n")
        sys.stdout.flush()
        time.sleep(ASK_EVERY)


if __name__ == "__main__":
    main(*sys.argv[1:])
