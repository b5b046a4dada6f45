"""Ask the API server and the registries what time it is: tokens' times are compared with our wall clock."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

from rotator import web
from rotator.clock import Clock, utc_now
from rotator.cluster.client import Cluster
from rotator.config import Config
from rotator.errors import RotatorError

API_SERVER = "the API server"
WORKERS = 16

Ask = Callable[[], str]
"""Gives the `Date` of an answer (RFC 9110, 6.6.1), or an empty text. Raises RotatorError."""


def clocks(cluster: Cluster, config: Config) -> Mapping[str, timedelta | RotatorError | None]:
    """How far each server's clock is ahead of ours, at least; None: it does not tell, an error: it does not answer.

    The registries are asked without a credential. Most are served by their cloud, by whose clock it issues tokens.
    """
    servers: dict[str, Ask] = {API_SERVER: cluster.date}
    for registry in config.registries:
        servers |= {host: partial(_date, host, registry.deadline) for host in registry.hosts}
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="clocks") as pool:
        return dict(zip(servers, pool.map(_answer, servers.values()), strict=True))


def ahead(date: datetime, before: datetime, after: datetime) -> timedelta:
    """How far a clock is ahead of ours, which said `before` and `after` while it said this, in whole seconds.

    An answer that took long proves the less: what is told is the least that there is between the two.
    """
    if date > after:
        return date - after
    return min(date + timedelta(seconds=1) - before, timedelta())


def _answer(ask: Ask, clock: Clock = utc_now) -> timedelta | RotatorError | None:
    before = clock()
    try:
        date = parsedate_to_datetime(ask())
        return ahead(date, before, clock())
    except RotatorError as error:
        return error
    except (TypeError, ValueError):  # no date, or one without a zone
        return None


def _date(host: str, deadline: timedelta) -> str:
    return web.request("GET", f"https://{host}/v2/", timeout=deadline).headers.get("Date", "")
