"""The backends of all hosted services; making one reads and sends nothing."""

from reapaint_engine.backends.hosted.backend import HostedBackend
from reapaint_engine.backends.hosted.eachlabs import EachLabs
from reapaint_engine.backends.hosted.fal import Fal
from reapaint_engine.backends.hosted.stability import Stability
from reapaint_engine.backends.hosted.wavespeed import WaveSpeed


def make_hosted_backends(max_cost: float | None = None) -> list[HostedBackend]:
    """Return a backend for each service, also where there is no key yet.

    One without a key says in its description which variable it needs, and a job for it
    ends with the same sentence: so nobody has to guess why a name is unknown.

    Parameters
    ----------
    max_cost
        What one job may cost, in USD; None is no limit.
    """
    services = (WaveSpeed(), EachLabs(), Fal(), Stability())
    return [HostedBackend(service, max_cost=max_cost) for service in services]
