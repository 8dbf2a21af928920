"""Create the backends of all hosted services; this reads and sends nothing."""

from reapaint_engine.backends.hosted.backend import HostedBackend
from reapaint_engine.backends.hosted.eachlabs import EachLabs
from reapaint_engine.backends.hosted.fal import Fal
from reapaint_engine.backends.hosted.stability import Stability
from reapaint_engine.backends.hosted.wavespeed import WaveSpeed


def make_hosted_backends(max_cost: float | None = None) -> list[HostedBackend]:
    """Return a backend for each service, even without a key.

    A backend without a key names the variable it needs in its description, and a job for it
    ends with the same sentence. So the user learns why it can't be used.

    Parameters
    ----------
    max_cost
        Limit of the cost of one job, in USD; None is no limit.
    """
    services = (WaveSpeed(), EachLabs(), Fal(), Stability())
    return [HostedBackend(service, max_cost=max_cost) for service in services]
