"""The clouds. One file each behind one small protocol; the table below is the whole registry of them.

A provider mints: it asks its cloud for one credential that is good for all hosts of one configured registry; and it
tells who it is to that cloud. It keeps no credential, schedules nothing and writes nothing. Each SDK is imported only
when a registry of its kind is configured, and only in that kind's file.
"""

from typing import Protocol

from rotator.clock import Clock, utc_now
from rotator.config import Acr, Ecr, Gar, Registry
from rotator.model import Credential

# ruff: noqa: PLC0415  (the imports below are late on purpose: each SDK costs up to 20 MB and half a second)


class Provider(Protocol):
    """Where one registry's credentials come from."""

    def mint(self) -> Credential:
        """Ask the cloud for a new credential.

        Blocks for at most the registry's deadline, whatever the peer does. Raises a MintError, and nothing else.
        """


class KnownProvider(Provider, Protocol):
    """One that tells who it is, too: all of ours do."""

    def identity(self) -> str:
        """Ask the cloud who we are to it: a name for people, which is no secret. Bounded, and raises, as `mint`."""


def provider_for(registry: Registry, clock: Clock = utc_now) -> KnownProvider:
    """The provider of this registry. Does no I/O beyond importing the cloud's SDK."""
    match registry.source:
        case Ecr() as ecr:
            from rotator.providers.ecr import EcrProvider

            return EcrProvider(registry, ecr, clock)
        case Gar() as gar:
            from rotator.providers.gar import GarProvider

            return GarProvider(registry, gar, clock)
        case Acr() as acr:
            from rotator.providers.acr import AcrProvider

            return AcrProvider(registry, acr, clock)
