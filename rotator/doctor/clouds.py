"""Ask the clouds: who we are, and for a credential that each registry then accepts. Side by side, each in its time."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from rotator.clock import utc_now
from rotator.config import Config, Registry
from rotator.errors import MintError, RotatorError
from rotator.providers import provider_for
from rotator.rotation import Minting

T = TypeVar("T")


def identities(config: Config) -> Mapping[str, str | RotatorError]:
    """Who we are to each registry's cloud."""

    def ask(registry: Registry) -> str | RotatorError:
        try:
            return provider_for(registry).identity()
        except MintError as error:
            return error

    return _side_by_side(config, ask)


def mints(config: Config) -> Mapping[str, datetime | RotatorError]:
    """Until when a new credential of each registry is good that its hosts accept: minted and shown as in a pass.

    Nothing is written, and what was minted is forgotten.
    """
    minting = Minting(config, provider_for, utc_now)

    def ask(registry: Registry) -> datetime | RotatorError:
        minting.start(registry.name, "doctor asks", {}, None).result()
        failure = minting.failure(registry.name)
        return failure.error if failure else minting.held[registry.name].expires_at

    return _side_by_side(config, ask)


def _side_by_side(config: Config, ask: Callable[[Registry], T]) -> Mapping[str, T]:
    with ThreadPoolExecutor(len(config.registries), thread_name_prefix="doctor") as pool:
        answers = pool.map(ask, config.registries)
        return {registry.name: answer for registry, answer in zip(config.registries, answers, strict=True)}
