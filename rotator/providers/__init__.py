"""The clouds. One file each behind one small protocol; the table below is the whole registry of them.

A provider mints: it asks its cloud for one credential that is good for all hosts of one configured registry. It keeps
no credential, schedules nothing and writes nothing. Each SDK is imported only when a registry of its kind is
configured, and only in that kind's file.
"""

from typing import Protocol

from rotator.config import Registry
from rotator.model import Credential


class Provider(Protocol):
    """Where one registry's credentials come from."""

    def mint(self) -> Credential:
        """Ask the cloud for a new credential.

        Blocks for at most the registry's deadline, whatever the peer does. Raises a MintError, and nothing else.
        """


def provider_for(registry: Registry) -> Provider:
    """The provider of this registry. Does no I/O beyond importing the cloud's SDK. Raises IdentityMissing."""
    raise NotImplementedError
