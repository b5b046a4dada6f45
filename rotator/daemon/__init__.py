"""`rotator run`: renew until told to stop.

`duty.py` is one configuration at work: its alarms, its watches, its queue. `service.py` is the process around it: who
leads, which configuration, until when. `following.py` follows the configuration's file, and
`memory.py` gives back what a sweep took.
"""

from rotator.daemon.memory import be_frugal
from rotator.daemon.service import Daemon

__all__ = ["Daemon", "be_frugal"]
