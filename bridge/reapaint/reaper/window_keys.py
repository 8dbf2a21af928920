"""What a job's windows are called towards the engine."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class WindowKey:
    """A window of a job, and which attempt at it this is.

    ``index`` counts a job's windows; it is None where there is but one. ``attempt`` 0 is the
    first; another follows where the engine knows the first one's id as something else.
    """

    job_id: str
    index: int | None = None
    attempt: int = 0

    @property
    def wire_id(self) -> str:
        """The id of the engine's job."""
        window = "" if self.index is None else f"-{self.index}"
        again = f"-again-{self.attempt}" if self.attempt else ""
        return f"{self.job_id}{window}{again}"

    @property
    def is_first_attempt(self) -> bool:
        """Whether the engine can know it from a bridge that has died."""
        return self.attempt == 0

    def next_attempt(self) -> "WindowKey":
        """Return the same window's key under which nothing was sent yet."""
        return replace(self, attempt=self.attempt + 1)


def window_keys(job_id: str, count: int) -> tuple[WindowKey, ...]:
    """Return the keys of a job's windows, in their order."""
    if count == 1:
        return (WindowKey(job_id),)
    return tuple(WindowKey(job_id, index) for index in range(count))
