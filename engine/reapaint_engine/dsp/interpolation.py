"""Fill missing frames from the sound on both sides, by least squares under linear prediction."""

from collections.abc import Callable

import numpy as np
import scipy

from reapaint_engine.dsp.prediction import autocorrelation
from reapaint_engine.protocol.arrays import Float64Array, IndexArray, Mask

Solver = Callable[[Float64Array], Float64Array]
"""Takes residuals with the unknowns at zero, (signals, frames), and returns the unknowns."""

Interpolator = Callable[[Float64Array, Float64Array], Float64Array]
"""Takes audio and wanted residuals, each (signals, frames), and returns the filled audio."""

Factor = tuple[Float64Array, bool]

JITTER_SHARES = (0.0, 1e-12, 1e-9, 1e-6, 1e-3)
"""Shares of the diagonal that are added in turn where a matrix isn't positive for rounding."""

MAX_DIRECT_FRAMES = 1000
"""At most this many unknowns are solved at once: the time grows with their cube, and this many
take 0.02 s."""

MAX_ROUNDS = 50
"""Most rounds of conjugate gradients over groups of gaps within each other's reach."""

MAX_CHANGE_SHARE = 1e-4
"""The rounds end when no frame changes by more than this share of the largest one."""

MIN_DIVISOR = 1e-300
"""Keeps a division defined in silence."""


def interpolate(
    audio: Float64Array,
    missing: Mask,
    coefficients: Float64Array,
    excitation: Float64Array | None = None,
) -> Float64Array:
    """Fill missing frames so that the power of the whole residual is least.

    Parameters
    ----------
    audio
        Shape (signals, frames), float64. What it holds where ``missing`` is True is not
        read. Signals are independent of each other and share the predictor.
    missing
        Shape (frames,), bool, True where ``audio`` is filled.
    coefficients
        Shape (order + 1,), float64, from ``lpc``. A known stretch of ``order`` frames on
        one side makes the result exact; zeros are assumed where it is shorter on both.
    excitation
        Shape (signals, frames), float64: the residual that the result should have, as far as
        both sides allow; None is silence. White noise with the power of the sound's own
        residual makes the fill a random draw from all sounds that fit.

    Returns
    -------
    numpy.ndarray
        Shape (signals, frames), float64: the audio, with the missing frames filled.

    Notes
    -----
    The method is that of Janssen, Veldhuis and Vries (1986). With a white excitation the
    least-squares solution is a sample of the conditional distribution (perturb and
    maximise; Papandreou and Yuille, 2010).
    """
    wanted = np.zeros_like(audio) if excitation is None else excitation
    return interpolator(missing, coefficients)(audio, wanted)


def interpolator(missing: Mask, coefficients: Float64Array) -> Interpolator:
    """Prepare ``interpolate`` for several calls with the same gaps and predictor.

    Parameters
    ----------
    missing
        Shape (frames,), bool, True where audio is filled.
    coefficients
        Shape (order + 1,), float64, from ``lpc``.

    Returns
    -------
    Interpolator
        From audio, float32 or float64, and excitation, float64, each of shape
        (signals, frames), to the filled audio, which has the audio's dtype.
    """
    if not missing.any():
        return lambda audio, _: audio.copy()
    first, last = np.flatnonzero(missing)[[0, -1]]
    if first < missing.size - 1 - last:
        # Predict from the longer side: a stationary sound has the same predictor in reverse.
        turned = interpolator(missing[::-1], coefficients)
        return lambda audio, wanted: turned(audio[:, ::-1], wanted[:, ::-1])[:, ::-1]
    solve = _solver_of_all(missing, coefficients)

    def fill(audio: Float64Array, wanted: Float64Array) -> Float64Array:
        filled = np.where(missing, 0.0, audio)
        filled[:, missing] = solve(_residuals(filled, coefficients) - wanted)
        return filled

    return fill


def runs(mask: Mask) -> list[tuple[int, int]]:
    """Return start and end of every stretch where a mask is True.

    Parameters
    ----------
    mask
        Shape (frames,), bool.

    Returns
    -------
    list of tuple
        In the order of time; each end is the first frame after its stretch.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _residuals(signals: Float64Array, coefficients: Float64Array) -> Float64Array:
    errors: Float64Array = scipy.signal.oaconvolve(signals, coefficients[np.newaxis], axes=1)
    return errors[:, : signals.shape[1]]


def _weigh(errors: Float64Array, coefficients: Float64Array) -> Float64Array:
    """Return for each frame the weighed sum of the residuals that it takes part in."""
    padded = np.pad(errors, ((0, 0), (0, coefficients.size - 1)))
    weighed: Float64Array = scipy.signal.correlate(
        padded, coefficients[np.newaxis], mode="valid", method="fft"
    )
    return weighed


def _solver_of_all(missing: Mask, coefficients: Float64Array) -> Solver:
    """Return the solver of all missing frames.

    Gaps within each other's reach are unknowns of one system. Where it is too large
    to be solved at once, conjugate gradients join the solutions of its groups.
    """
    groups = _groups(missing)
    solvers = [_solver(missing.size, group, coefficients) for group in groups]
    if len(solvers) == 1:
        return solvers[0]

    def solve_apart(errors: Float64Array) -> Float64Array:
        return np.concatenate([solve(errors) for solve in solvers], axis=1)

    def solve(errors: Float64Array) -> Float64Array:
        return _solve_jointly(errors, missing, coefficients, solve_apart)

    return solve


def _solve_jointly(
    errors: Float64Array, missing: Mask, coefficients: Float64Array, solve_apart: Solver
) -> Float64Array:
    """Solve by conjugate gradients, with the groups' own solutions as preconditioner."""
    solution = np.zeros((errors.shape[0], int(missing.sum())))
    direction, slope = solution, np.ones((errors.shape[0], 1))
    for _ in range(MAX_ROUNDS):
        step = solve_apart(errors)
        descent = -_weigh(errors, coefficients)[:, missing]
        new_slope = np.sum(step * descent, axis=1, keepdims=True)
        direction = step + new_slope / np.maximum(slope, MIN_DIVISOR) * direction
        slope = new_slope
        moved = np.zeros_like(errors)
        moved[:, missing] = direction
        moved = _residuals(moved, coefficients)
        length = slope / np.maximum(np.sum(moved**2, axis=1, keepdims=True), MIN_DIVISOR)
        solution = solution + length * direction
        errors = errors + length * moved
        if np.all(np.abs(length * direction).max(1) <= MAX_CHANGE_SHARE * np.abs(solution).max(1)):
            break
    return solution


def _groups(missing: Mask) -> list[IndexArray]:
    """Group neighbouring gaps, as many as can be solved at once."""
    groups: list[IndexArray] = []
    for start, end in runs(missing):
        gap = np.arange(start, end)
        if groups and groups[-1].size + gap.size <= MAX_DIRECT_FRAMES:
            groups[-1] = np.concatenate([groups[-1], gap])
        else:
            groups.append(gap)
    return groups


def _solver(frames: int, unknowns: IndexArray, coefficients: Float64Array) -> Solver:
    if unknowns.size <= MAX_DIRECT_FRAMES:
        return _direct_solver(frames, unknowns, coefficients)
    return _recursive_solver(frames, unknowns, coefficients)


def _factor(matrix: Float64Array) -> Factor:
    """Factor a matrix that is positive definite except for rounding."""
    scale = float(np.mean(np.diag(matrix)))
    for jitter in JITTER_SHARES:
        matrix[np.diag_indices_from(matrix)] += jitter * scale
        try:
            # SciPy's holds the interpreter's lock meanwhile, and the engine could not answer.
            factor = np.linalg.cholesky(matrix).astype(np.float64, copy=False)
        except np.linalg.LinAlgError:
            continue
        return factor, True
    raise AssertionError("a matrix of products with itself is not far from positive definite")


def _direct_solver(frames: int, unknowns: IndexArray, coefficients: Float64Array) -> Solver:
    """Solve the normal equations of any unknowns by Cholesky's method."""
    order = coefficients.size - 1
    products = np.append(autocorrelation(coefficients, order), 0.0)
    distances = np.abs(unknowns[:, np.newaxis] - unknowns)
    matrix = products[np.minimum(distances, order + 1)]
    beyond = int(unknowns[-1]) + order + 1 - frames
    if beyond > 0:
        # Equations that would reach past the end of the audio don't exist.
        delays = np.arange(frames, frames + beyond)[:, np.newaxis] - unknowns
        padded = np.append(coefficients, 0.0)
        absent = padded[np.minimum(delays, order + 1)]
        matrix -= absent.T @ absent
    factor = _factor(matrix)

    def solve(errors: Float64Array) -> Float64Array:
        weighed = _weigh(errors, coefficients)[:, unknowns]
        solution: Float64Array = -scipy.linalg.cho_solve(factor, weighed.T, check_finite=False).T
        return solution

    return solve


def _recursive_solver(frames: int, unknowns: IndexArray, coefficients: Float64Array) -> Solver:
    """Predict one gap from the left, then correct it by the sound on its right.

    The result is that of the direct solver, in time proportional to the gap. The normal matrix
    is the matrix of prediction alone plus one whose rank is the order. Woodbury's identity
    turns it into equations over the right context.
    """
    start, end = int(unknowns[0]), int(unknowns[-1]) + 1
    # Convolution with the recursive filter's impulse response gives the same over a
    # stretch, and by transforms it is many times quicker.
    response = scipy.signal.lfilter([1.0], coefficients, np.eye(1, end - start)[0])[np.newaxis]

    def synthesised(errors: Float64Array) -> Float64Array:
        whole: Float64Array = scipy.signal.fftconvolve(errors, response, axes=1)
        return whole[:, : end - start]

    reach = min(coefficients.size - 1, frames - end)
    factor = None
    if reach:
        matrix = _prediction_covariance(coefficients, end - start, reach)
        matrix[np.diag_indices(reach)] += 1.0
        factor = _factor(matrix)

    def solve(errors: Float64Array) -> Float64Array:
        predicted = synthesised(-errors[:, start:end])
        if factor is None:
            return predicted
        going_on = scipy.signal.oaconvolve(predicted, coefficients[np.newaxis], axes=1)
        missed = errors[:, end : end + reach] + going_on[:, end - start :][:, :reach]
        weights = scipy.linalg.cho_solve(factor, missed.T, check_finite=False).T
        # How each frame of the gap takes part in the weighed errors on its right.
        parts = np.zeros_like(predicted)
        spread = scipy.signal.oaconvolve(weights, coefficients[np.newaxis, ::-1], axes=1)
        tail = min(coefficients.size - 1, end - start)
        parts[:, -tail:] = spread[:, coefficients.size - 1 - tail : coefficients.size - 1]
        backward = synthesised(parts[:, ::-1])[:, ::-1]
        return predicted - synthesised(backward)

    return solve


def _prediction_covariance(coefficients: Float64Array, frames: int, reach: int) -> Float64Array:
    """Return the covariance of the residuals right after a gap that was predicted.

    Entry (i, j) belongs to the i-th and j-th frame after a gap of ``frames`` that was filled by
    prediction alone, for white residuals of power 1 in the gap. Neighbouring diagonal entries
    differ by products of coefficients, so the whole matrix costs ``reach`` squared.
    """
    impulse = np.zeros(frames + reach + 1)
    impulse[0] = 1.0
    response = scipy.signal.lfilter([1.0], coefficients, impulse)
    inside, after = response[1 : frames + 1], response[frames + 1 :]
    lagged = scipy.signal.correlate(
        response[1 : frames + reach], inside, mode="valid", method="fft"
    )
    first = scipy.signal.oaconvolve(coefficients, lagged)[:reach]
    newest = coefficients[1 : reach + 1]
    oldest = scipy.signal.oaconvolve(coefficients, after)[:reach]
    covariance = np.empty((reach, reach))
    covariance[0] = first
    covariance[1:, 0] = first[1:]
    for row in range(reach - 1):
        covariance[row + 1, 1:] = (
            covariance[row, :-1]
            - newest[row] * newest[:-1] * (1.0 + lagged[0])
            + oldest[row] * oldest[:-1]
            + newest[row] * first[1:]
            + newest[:-1] * first[row + 1]
        )
    return covariance
