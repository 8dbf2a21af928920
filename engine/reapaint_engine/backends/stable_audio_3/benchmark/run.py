"""The entrance of the benchmark; it loads neither torch nor diffusers before it has to."""

from collections.abc import Mapping
from typing import Any

from reapaint_engine.backends.stable_audio_3.backend import check_packages
from reapaint_engine.backends.stable_audio_3.benchmark.options import BenchOptions
from reapaint_engine.protocol.progress import OnProgress


def measure(options: Mapping[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Measure both sides in one run; torch is loaded now and not before.

    Parameters
    ----------
    options
        Fields of ``BenchOptions`` by name.
    on_progress
        Told what is being done, and the fraction of it that is done.

    Returns
    -------
    dict
        Plain data; see ``measuring.measure``.

    Raises
    ------
    JobError
        The options can't be met, the packages, the model or the device are not here, or
        the sides disagree.
    """
    chosen = BenchOptions(**options)
    chosen.check()
    check_packages()
    from reapaint_engine.backends.stable_audio_3.benchmark.measuring import measure as measure_now

    return measure_now(chosen, on_progress)
