"""CUDA graphs: thousands of small kernels launched as one."""

import logging
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

LATENTS_MULTIPLE = 16
"""Lengths come in steps of 1.5 s, so that a nearby selection finds its graph captured."""

MAX_GRAPHS = 6
"""Captured graphs share their working memory; each keeps its inputs and output besides."""

WARM_UP_RUNS = 2
"""The first run makes libraries choose and allocate, which no capture survives."""

Function = Callable[..., Tensor]
"""Tensors in, one tensor out: the same work for tensors of the same shapes."""


def bucket_length(latents: int) -> int:
    """Return the next length that graphs are made for: a multiple of 16.

    Nothing is padded: a caller asks the model for that many latents, the additional ones
    being headroom. With 64 memory tokens the sequence is a multiple of 16 as well, which
    attention on a CPU likes too (a fifth faster at 400 tokens than at 387, measured).
    """
    return -(-latents // LATENTS_MULTIPLE) * LATENTS_MULTIPLE


class Graph(Protocol):
    """A recording of a function's work on certain buffers."""

    @property
    def output(self) -> Tensor:
        """What a replay writes, of any shape and any dtype; valid until the next one."""

    def replay(self) -> None:
        """Do the recorded work with what the buffers hold now."""


Capture = Callable[[Function, Sequence[Tensor]], Graph]
"""Records a function's work on input buffers; RuntimeError where that can't be done."""


@dataclass(slots=True)
class _Recording:
    graph: Graph
    inputs: list[Tensor]
    sources: list[weakref.ref[Tensor]]
    """What was last copied in; a constant that is still the same object is not copied again."""


class GraphRunner:
    """Runs functions of tensors as CUDA graphs, or as they are where that can't be.

    A graph is captured the first time a function is asked for with a key and shapes, on
    buffers of its own, and replayed from then on. The least recently used is dropped
    when there are too many. What can't be captured is run eagerly, for good, after one
    logged warning. Belongs to one thread.

    Parameters
    ----------
    device
        Where the tensors are; elsewhere than on CUDA nothing is captured.
    kept
        How many graphs to hold.
    capture
        How to record; for tests without a GPU.
    """

    def __init__(
        self,
        device: torch.device | str,
        *,
        kept: int = MAX_GRAPHS,
        capture: Capture | None = None,
    ) -> None:
        if capture is None and torch.device(device).type == "cuda":
            capture = CudaCapture(torch.device(device))
        self._capture = capture
        self._kept = kept
        self._recordings: OrderedDict[Hashable, _Recording] = OrderedDict()
        self._refused: set[Hashable] = set()

    @property
    def captures(self) -> bool:
        """Whether anything is captured here at all."""
        return self._capture is not None

    def run(
        self,
        key: Hashable,
        function: Function,
        inputs: Sequence[Tensor],
        *,
        constant: Sequence[Tensor] = (),
    ) -> Tensor:
        """Return ``function(*inputs, *constant)``, from a graph if there can be one.

        Parameters
        ----------
        key
            Tells apart functions that do different work; shapes and dtypes count by
            themselves. The function of the first call with a key is the one recorded.
        function
            Does the same work whatever the tensors hold, and waits for nothing.
        inputs
            Each of any shape and any dtype; copied into the graph's buffers at each call.
        constant
            Each of any shape and any dtype, and never changed by anyone: copied in when it
            is another object than last time.

        Returns
        -------
        Tensor
            The caller's own; any shape and any dtype that ``function`` gives.
        """
        tensors = [*inputs, *constant]
        if self._capture is None:
            return function(*tensors)
        full_key = (key, *((tensor.shape, tensor.dtype) for tensor in tensors))
        recording = self._find_or_record(full_key, function, tensors)
        if recording is None:
            return function(*tensors)
        for index, tensor in enumerate(tensors):
            if index < len(inputs) or recording.sources[index]() is not tensor:
                recording.inputs[index].copy_(tensor)
        recording.sources = [weakref.ref(tensor) for tensor in tensors]
        recording.graph.replay()
        return recording.graph.output.clone()

    def clear(self) -> None:
        """Drop every graph and its memory, for instance before a model goes."""
        self._recordings.clear()

    def _find_or_record(
        self, key: Hashable, function: Function, tensors: list[Tensor]
    ) -> _Recording | None:
        if key in self._recordings:
            self._recordings.move_to_end(key)
            return self._recordings[key]
        if key in self._refused:
            return None
        while len(self._recordings) >= self._kept:
            self._recordings.popitem(last=False)
        assert self._capture is not None
        buffers = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in tensors]
        for buffer, tensor in zip(buffers, tensors, strict=True):
            buffer.copy_(tensor)
        try:
            graph = self._capture(function, buffers)
        except torch.OutOfMemoryError:
            # Not the function's fault: with the other graphs gone it may fit next time.
            logger.warning("there was no memory for a CUDA graph; running without")
            self.clear()
            return None
        except RuntimeError as error:
            logger.warning("a CUDA graph could not be captured, running without: %s", error)
            self._refused.add(key)
            return None
        self._recordings[key] = _Recording(
            graph, buffers, [weakref.ref(tensor) for tensor in tensors]
        )
        return self._recordings[key]


class CudaCapture:
    """Captures functions on one CUDA device; all its graphs share one memory pool.

    Sharing is sound since a replay is complete before the next begins (one stream), and
    outputs stay referenced, so that no later capture is given their memory.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's

    def __call__(self, function: Function, inputs: Sequence[Tensor]) -> Graph:
        """Run the function a few times on a side stream, then record it.

        Raises
        ------
        RuntimeError
            It does something that a graph can't hold, or there is no memory.
        """
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(WARM_UP_RUNS):
                    function(*inputs)
            torch.cuda.current_stream().wait_stream(self._stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                output = function(*inputs)
        return CudaGraph(graph, output)


@dataclass(frozen=True, slots=True)
class CudaGraph:
    """A captured graph and what it writes."""

    graph: torch.cuda.CUDAGraph
    output: Tensor

    def replay(self) -> None:
        """Do the recorded work with what the buffers hold now."""
        self.graph.replay()
