"""Find the cheapest paths through kept audio that fill a span: enter, jump and leave.

The description of the kept audio is a line of *nodes*, the instants between its steps. A path
enters at a node whose past resembles the sound before the span. It goes on as the recording did
and may jump between nodes whose surroundings agree. It leaves, exactly as many steps later as
the span has, at a node whose future resembles the sound after the span.

Notes
-----
A shortest path through a similarity graph: Perraudin, Holighaus, Majdak, Balazs,
"Inpainting of long audio segments with similarity graphs", 2018. Here the
cost to go is computed once, backwards from the end of the span, so that every take is a
walk that knows the cost of the whole rest.
"""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.backends.context.features import Features, Steps
from reapaint_engine.protocol.arrays import BoolArray, Float32Array
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

MIN_SPREAD_DB = 0.5
"""Levels that vary less than this don't tell moments apart."""

MIN_SPREAD_CHROMA = 0.02
"""Chroma that varies less than this doesn't tell moments apart."""

MIN_MEAN_DISTANCE = 0.3
"""Distances are divided by their mean, but at least by this: small differences in even sound
must not count as large."""

NEAR_S = 0.09
"""Both sides of a jump must agree in detail over this long."""

FAR_S = 0.75
"""Both sides of a jump should agree in outline over this long: a bar's position, a phrase, a
decay."""

PRIOR_STEPS = 3
"""A comparison of fewer steps counts mostly as that of unrelated moments."""

JUMP_COST = 0.25
"""Cost of any jump; 1 is the distance of two unrelated moments."""

EDGE_WEIGHT = 2.0
"""The joins at the span's edges are beside real sound and count this many times as much as
jumps."""

OFF_GRID_COST = 1.0
OFF_GRID_S = 0.03
"""A jump this far off the beat costs ``OFF_GRID_COST``, times the confidence in the tempo."""

NEIGHBOURS = 20
"""The kept audio is divided into this many parts, and the best jump into each is kept."""

MIN_JUMP_S = 0.2
"""A shorter jump stays in the same sound."""

MIN_RUN_S = 0.3
"""A passage is at least this long, where the kept audio allows."""

GUARD_S = 0.05
"""Kept audio wanted before an entry and after an exit, for crossfades. Less costs
``CROWDED_COST``."""

CROWDED_COST = 4.0
MAX_LOOK_AHEAD_S = 20.0
"""Further from the end than this, the cost to go no longer depends on the distance."""

ECHO_COST = 1.0
"""Cost of entering sound that was heard just before, or leaving into sound heard again just
after."""

MIN_ENTRY_DISTANCE_S = 0.3
"""Entries nearer to each other than this begin with the same sound."""

USED_COST = 1.0
"""Cost of entering sound that this take has used already, for each time."""


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """How much each part of the description counts when moments are compared."""

    mel: float
    chroma: float
    onset: float


@dataclass(frozen=True, slots=True)
class Run:
    """A run of kept audio that fills the span from one frame on.

    The span holds from ``target`` on the kept audio that begins at ``source``. ``node`` is a
    frame of the stretch it is taken from, within a step of ``source``.
    """

    target: int
    source: int
    node: int


@dataclass(frozen=True, slots=True, eq=False)
class Nodes:
    """The instants between steps; each stretch has one more of them than steps.

    ``frame`` is the instant's frame in the window. ``ends`` is True after the last step of a
    stretch. ``room`` counts the steps since its stretch began and until it ends.
    """

    frame: Steps
    stretch: Steps
    ends: BoolArray
    room: tuple[Steps, Steps]

    @property
    def count(self) -> int:
        """Return how many nodes there are."""
        return len(self.frame)


def nodes_of(features: Features) -> Nodes:
    """Return the instants between the steps of a description."""
    frame, stretch, ends, since, until = [], [], [], [], []
    for index in np.unique(features.stretch):
        starts = features.starts[features.stretch == index]
        count = len(starts)
        frame.append(np.append(starts, starts[-1] + features.hop))
        stretch.append(np.full(count + 1, index))
        ends.append(np.arange(count + 1) == count)
        since.append(np.arange(count + 1))
        until.append(np.arange(count + 1)[::-1])
    return Nodes(
        np.concatenate(frame),
        np.concatenate(stretch),
        np.concatenate(ends),
        (np.concatenate(since), np.concatenate(until)),
    )


def step_distances(features: Features, weights: Weights) -> Float32Array:
    """Return how unlike every two steps are; 1 is the mean over all pairs.

    Returns
    -------
    ndarray of float32, shape (steps, steps)
    """
    groups = []
    for weight, values, unheard in (
        (weights.mel, features.mel_db, MIN_SPREAD_DB),
        (weights.chroma, features.chroma, MIN_SPREAD_CHROMA),
        (weights.onset, features.onset[:, None], MIN_SPREAD_DB),
    ):
        centred = values - values.mean(axis=0)
        spread = float(np.sqrt(2 * np.mean(np.sum(centred**2, axis=1))))
        least = unheard * float(np.sqrt(2 * values.shape[1]))
        groups.append(centred * np.float32(np.sqrt(weight) / max(spread, least)))
    points = np.concatenate(groups, axis=1).astype(np.float32)
    power = np.sum(points**2, axis=1)
    distances = points @ points.T
    distances *= -2
    distances += power[:, None]
    distances += power[None, :]
    np.maximum(distances, 0, out=distances)
    np.sqrt(distances, out=distances)
    distances /= max(float(distances.mean()), MIN_MEAN_DISTANCE)
    return distances


def jump_costs(
    features: Features,
    nodes: Nodes,
    weights: Weights,
    *,
    beat_s: float,
    beat_confidence: float,
    step: OnFraction,
) -> Float32Array:
    """Return the cost of going on at one node instead of another.

    Nodes are compared by the sound around them, in detail nearby and in outline further away.
    Where only the past or the future exists on a side, only that counts.

    Returns
    -------
    ndarray of float32, shape (nodes, nodes); row: left, column: entered
    """
    distances = step_distances(features, weights)
    costs = np.empty((nodes.count, nodes.count), dtype=np.float32)
    near, far = (_power_of_two(reach / features.hop_s) for reach in (NEAR_S, FAR_S))
    steps = [np.flatnonzero(features.stretch == index) for index in np.unique(features.stretch)]
    places = [np.flatnonzero(nodes.stretch == index) for index in np.unique(nodes.stretch)]
    for rows, row_nodes in zip(steps, places, strict=True):
        for columns, column_nodes in zip(steps, places, strict=True):
            step(0.05)
            block = distances[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            costs[row_nodes[0] : row_nodes[-1] + 1, column_nodes[0] : column_nodes[-1] + 1] = (
                0.5 * (_around(block, near) + _around(block, far))
            )
    if beat_confidence > 0:
        costs += _off_grid(nodes, features.sample_rate, beat_s, beat_confidence)
    return costs


def _power_of_two(value: float) -> int:
    """Return the power of two nearest to a count of steps, 1 to 256."""
    return int(2 ** np.clip(round(np.log2(max(value, 1.0))), 0, 8))


def _around(block: Float32Array, width: int) -> Float32Array:
    """Return the mean distance ``width`` steps before and after every pair of nodes.

    ``width`` is a power of two: sums along diagonals double log2(width) times.
    """
    rows, columns = block.shape
    sums = np.zeros((rows + 2 * width, columns + 2 * width), dtype=np.float32)
    sums[width : width + rows, width : width + columns] = block
    reach = 1
    while reach < width:
        sums[:-reach, :-reach] += sums[reach:, reach:]
        reach *= 2
    total = sums[: rows + 1, : columns + 1] + sums[width:, width:][: rows + 1, : columns + 1]
    row, column = np.arange(rows + 1)[:, None], np.arange(columns + 1)[None, :]
    past = np.minimum(np.minimum(row, column), width)
    future = np.minimum(np.minimum(rows - row, columns - column), width)
    prior = min(PRIOR_STEPS, width)
    return np.asarray((total + prior) / (past + future + prior), dtype=np.float32)


def _off_grid(nodes: Nodes, rate: int, beat_s: float, confidence: float) -> Float32Array:
    """Return for every jump the cost of missing a whole number of beats."""
    time_s = (nodes.frame / rate).astype(np.float32)
    beats = (time_s[None, :] - time_s[:, None]) / np.float32(beat_s)
    miss_s = np.abs(beats - np.round(beats)) * np.float32(beat_s)
    cost = np.minimum((miss_s / OFF_GRID_S) ** 2, 1.0) * (OFF_GRID_COST * confidence)
    return np.asarray(cost, dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Routes:
    """Everything that the takes of one span share.

    Attributes
    ----------
    length
        Steps of the span.
    neighbours, neighbour_costs
        For each node the nodes to jump to and the costs, shape (nodes, up to NEIGHBOURS).
    to_go
        Cost to the end when going on from a node, by the number of steps that remain,
        shape (look-ahead + 1, nodes); infinite where the kept audio ends.
    entries
        Nodes at which a path may begin, best first.
    """

    hop: int
    hop_s: float
    span: Span
    length: int
    nodes: Nodes
    neighbours: Steps
    neighbour_costs: Float32Array
    to_go: Float32Array
    entries: Steps
    entry_costs: Float32Array


def find_routes(
    features: Features,
    span: Span,
    weights: Weights,
    *,
    echo_s: float,
    beat_s: float,
    beat_confidence: float,
    step: OnFraction,
) -> Routes:
    """Return what every take needs: jumps, costs to go and entries.

    Parameters
    ----------
    echo_s
        How long a listener remembers a sound, in seconds.
    beat_s, beat_confidence
        Period of the beat, and 0 to 1 how much jumps should keep to it.
    step
        Called between pieces of work with the share that is done, 0 to 1.
    """
    nodes = nodes_of(features)
    step(0.0)
    costs = jump_costs(
        features, nodes, weights, beat_s=beat_s, beat_confidence=beat_confidence, step=step
    )
    step(0.2)
    length = max(1, round(span.length / features.hop))
    guard = _guard(nodes, features)
    leave = _edge(costs, nodes, np.flatnonzero(nodes.frame == span.end), 0)
    enter = _edge(costs, nodes, np.flatnonzero(nodes.frame == span.start), 1)
    enter = enter + _echo(span.start, nodes, features, echo_s)
    leave = leave + _echo(span.end, nodes, features, echo_s)
    enter[nodes.room[0] < guard] += CROWDED_COST
    leave[nodes.room[1] < guard] += CROWDED_COST
    neighbours, neighbour_costs = _neighbours(costs, nodes, features, guard, step)
    step(0.4)
    ahead = min(length, max(1, round(MAX_LOOK_AHEAD_S / features.hop_s)))
    to_go = _costs_to_go(
        leave,
        nodes=nodes,
        neighbours=neighbours,
        neighbour_costs=neighbour_costs,
        ahead=ahead,
        step=step,
    )
    total = enter + to_go[min(length, ahead)]
    entries = _minima(total, max(1, round(MIN_ENTRY_DISTANCE_S / features.hop_s)))
    entries = entries[np.isfinite(total[entries])]
    return Routes(
        hop=features.hop,
        hop_s=features.hop_s,
        span=span,
        length=length,
        nodes=nodes,
        neighbours=neighbours,
        neighbour_costs=neighbour_costs,
        to_go=to_go,
        entries=entries,
        entry_costs=total[entries],
    )


def _guard(nodes: Nodes, features: Features) -> int:
    """Return the steps wanted around an entry; fewer where the kept audio is short."""
    longest = int(nodes.room[0].max())
    return min(int(np.ceil(GUARD_S / features.hop_s)), longest // 4)


def _edge(costs: Float32Array, nodes: Nodes, node: Steps, axis: int) -> Float32Array:
    """Return the cost of joining every node to a real edge, 0 where there is none.

    With ``axis`` 1 the path enters from the edge, and the sound before counts. With 0 it leaves
    to the edge.
    """
    at_edge = node[(nodes.room[0] > 0)[node]] if axis == 1 else node[(nodes.room[1] > 0)[node]]
    if len(at_edge) == 0:
        return np.zeros(nodes.count, dtype=np.float32)
    row = costs[at_edge[0], :] if axis == 1 else costs[:, at_edge[0]]
    return np.asarray(row * EDGE_WEIGHT, dtype=np.float32)


def _echo(edge: int, nodes: Nodes, features: Features, echo_s: float) -> Float32Array:
    """Return the cost of repeating sound that is heard just before or just after."""
    away_s = np.abs(nodes.frame - edge) / features.sample_rate
    return np.asarray(ECHO_COST * np.exp(-away_s / echo_s), dtype=np.float32)


def _neighbours(
    costs: Float32Array, nodes: Nodes, features: Features, guard: int, step: OnFraction
) -> tuple[Steps, Float32Array]:
    """Return for each node the best place to jump to in every part of the kept audio.

    The best places alone are all of one kind, and a long path among them would go round in
    circles.
    """
    count = nodes.count
    allowed = (nodes.room[0] >= guard) & (nodes.room[1] > guard)
    nearest = MIN_JUMP_S * features.sample_rate
    width = -(-count // NEIGHBOURS)
    parts = -(-count // width)
    first = width * np.arange(parts)
    best = np.empty((count, parts), dtype=np.int64)
    best_costs = np.empty((count, parts), dtype=np.float32)
    for begin in range(0, count, 256):
        step(0.2 + 0.2 * begin / count)
        rows = slice(begin, begin + 256)
        away = np.abs(nodes.frame[None, :] - nodes.frame[rows, None])
        possible = np.where(allowed & (away >= nearest), costs[rows], np.inf)
        room = ((0, 0), (0, parts * width - count))
        possible = np.pad(possible, room, constant_values=np.inf).reshape(-1, parts, width)
        best[rows] = first + possible.argmin(axis=2)
        best_costs[rows] = possible.min(axis=2) + JUMP_COST
    np.minimum(best, count - 1, out=best)
    _add_way_out(best, best_costs, nodes)
    return best, best_costs


def _add_way_out(best: Steps, best_costs: Float32Array, nodes: Nodes) -> None:
    """Make sure that a path can jump from the end of a stretch, however short the context."""
    home = int(np.argmax(nodes.room[1]))
    stuck = nodes.ends & ~np.isfinite(best_costs).any(axis=1)
    best[stuck, 0] = home
    best_costs[stuck, 0] = 4.0


def _costs_to_go(
    leave: Float32Array,
    *,
    nodes: Nodes,
    neighbours: Steps,
    neighbour_costs: Float32Array,
    ahead: int,
    step: OnFraction,
) -> Float32Array:
    """Return the cost from each node to the end without jumping at once.

    Returns
    -------
    ndarray of float32, shape (ahead + 1, nodes)
        Row r: r steps remain. Rows are costs of going on from the node.
    """
    table = np.empty((ahead + 1, nodes.count), dtype=np.float32)
    table[0] = leave
    best = leave
    for remaining in range(1, ahead + 1):
        if remaining % 64 == 0:
            step(0.4 + 0.5 * remaining / ahead)
        onward = np.append(best[1:], np.float32(np.inf))
        onward[nodes.ends] = np.inf
        table[remaining] = onward
        jump = (onward[neighbours] + neighbour_costs).min(axis=1)
        best = np.minimum(onward, jump)
        best -= best.min() if np.isfinite(best.min()) else 0
    return table


def _minima(values: Float32Array, apart: int) -> Steps:
    """Return the places of local minima, best first, at least ``apart`` from a lower one."""
    order = np.argsort(values, kind="stable")
    taken = np.zeros(len(values), dtype=np.bool_)
    chosen = []
    for index in order:
        if not taken[index]:
            chosen.append(index)
            taken[max(0, index - apart) : index + apart + 1] = True
    return np.asarray(chosen, dtype=np.int64)


def walk(routes: Routes, entry: int, rng: np.random.Generator, noise: float) -> tuple[Run, ...]:
    """Return the runs of one take that begins at a node.

    Parameters
    ----------
    entry
        The node at which the path begins.
    rng, noise
        The cost of each way changes by up to ``noise`` at random.
    """
    nodes, length = routes.nodes, routes.length
    ahead = len(routes.to_go) - 1
    min_run = max(1, round(MIN_RUN_S / routes.hop_s))
    used = np.zeros(nodes.count, dtype=np.float32)
    runs = [(0, entry)]
    node, begun = entry, 0
    for done in range(length):
        to_go = routes.to_go[min(length - done, ahead)]
        stay = to_go[node]
        must = not np.isfinite(stay)
        may = done - begun >= min_run and length - done >= min_run
        if must or may:
            targets = routes.neighbours[node]
            ways = routes.neighbour_costs[node] + to_go[targets] + used[targets]
            ways = ways + noise * rng.random(len(ways), dtype=np.float32)
            best = int(np.argmin(ways))
            if must or ways[best] < stay:
                # An entry shortly before used sound leads into it.
                used[max(0, node - (done - begun) - min_run) : node] += USED_COST
                node, begun = int(targets[best]), done
                runs.append((done, node))
        node += 1
    return _in_frames(routes, runs, node)


def _in_frames(routes: Routes, runs: list[tuple[int, int]], last: int) -> tuple[Run, ...]:
    """Return runs in frames; the last is counted back from the span's end.

    The span need not be a whole number of steps. The rest falls into the join before the last
    run or, where there is only one run, is shared by both edges.
    """
    span, hop, frame = routes.span, routes.hop, routes.nodes.frame
    left_over = span.length - routes.length * hop
    done, node = runs[-1]
    begin = int(frame[node])
    if len(runs) == 1:
        return (Run(span.start, begin + left_over // 2, begin),)
    target = span.start + done * hop
    lag = int(frame[last]) - span.end
    found = [Run(span.start + at * hop, int(frame[of]), int(frame[of])) for at, of in runs[:-1]]
    return (*found, Run(target, target + lag, begin))
