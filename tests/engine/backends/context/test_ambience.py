from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.ambience import fill_ambience, synthesise
from reapaint_engine.backends.context.surroundings import analyse
from reapaint_engine.backends.context.texture import (
    band_powers,
    bands_for,
    events,
    kurtosis,
    line_share,
)
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

RATE = 16_000


def noise(channels: int, frames: int, seed: int = 0, level: float = 0.1) -> Audio:
    made = np.random.default_rng(seed).standard_normal((channels, frames))
    return (level * made).astype(np.float32)


def fill(
    audio: Audio,
    span: Span,
    *,
    rate: int = RATE,
    seed: int = 1,
    others: tuple[Span, ...] = (),
    step: Callable[[float], None] = lambda share: None,
) -> Audio:
    """Fill a span of audio that holds NaN wherever nothing may be read."""
    spans = tuple(sorted((span, *others)))
    heard = audio.copy()
    for taken in spans:
        heard[:, taken.start : taken.end] = np.nan
    window = Window(heard, rate, spans, audio.shape[1])
    return fill_ambience(window, span, np.random.default_rng(seed), step)


def level_db(audio: Audio) -> float:
    return float(10 * np.log10(np.mean(np.square(audio, dtype=np.float64)) + 1e-30))


def literalness(made: Audio, source: Audio, rate: int = RATE) -> float:
    """Return the median over 0.3 s blocks of the best normalised match with the source."""
    length = round(0.3 * rate)
    energy = np.cumsum(np.concatenate([[0.0], np.square(source, dtype=np.float64).sum(axis=0)]))
    energies = energy[length:] - energy[:-length]
    best = []
    for begin in range(0, made.shape[1] - length + 1, length):
        block = made[:, begin : begin + length].astype(np.float64)
        match = sum(
            signal.fftconvolve(there, here[::-1], "valid")
            for here, there in zip(block, source, strict=True)
        )
        best.append(float(np.max(match / np.sqrt(energies * np.square(block).sum()))))
    return float(np.median(best))


def spectrum_db(audio: Audio) -> npt.NDArray[np.float64]:
    powers = band_powers(audio.mean(axis=0), bands_for(RATE))
    return np.asarray(10 * np.log10(powers.mean(axis=0)))


def brown(frames: int, seed: int = 0) -> Audio:
    """Return noise that falls by 6 dB an octave above 200 Hz."""
    pole = float(np.exp(-2 * np.pi * 200 / RATE))
    return signal.lfilter([1 - pole], [1, -pole], noise(1, frames, seed, 1.0)).astype(np.float32)


def crackle(frames: int, seed: int = 0) -> Audio:
    """Return 40 strokes a second over faint noise."""
    rng = np.random.default_rng(seed)
    sparse = rng.standard_normal(frames) * (rng.random(frames) < 40 / RATE)
    ring = np.exp(-np.arange(64) / 12) * np.cos(np.arange(64) * 1.1)
    return (np.convolve(sparse, ring)[None, :frames] + noise(1, frames, seed, 0.005)).astype(
        np.float32
    )


class TestShape:
    @given(
        channels=st.integers(1, 5),
        rate=st.sampled_from([8_000, 11_025, 44_100]),
        left=st.integers(0, 9_000),
        length=st.integers(1, 12_000),
        right=st.integers(0, 9_000),
        seed=st.integers(0, 2**32 - 1),
    )
    @settings(max_examples=40 * SCALE)
    def test_any_gap_is_filled_at_its_length_with_finite_sound(
        self, channels, rate, left, length, right, seed
    ):
        audio = noise(channels, left + length + right)
        made = fill(audio, Span(left, left + length), rate=rate, seed=seed)
        assert made.shape == (channels, length)
        assert made.dtype == np.float32
        assert made.flags.c_contiguous
        assert np.isfinite(made).all()

    @pytest.mark.parametrize(("channels", "rate"), [(64, 48_000), (2, 384_000)])
    def test_many_channels_and_high_rates(self, channels, rate):
        audio = noise(channels, rate)
        made = fill(audio, Span(rate // 3, rate // 2), rate=rate)
        assert level_db(made) == pytest.approx(-20, abs=1)

    def test_no_context_gives_silence(self):
        assert not fill(noise(2, 5_000), Span(0, 5_000)).any()

    def test_a_few_milliseconds_of_context_become_noise_of_their_level(self):
        audio = noise(1, 160 + 16_000)
        assert level_db(fill(audio, Span(160, 16_160))) == pytest.approx(-20, abs=2)

    def test_other_gaps_are_not_heard(self):
        audio = noise(1, 5 * RATE)
        others = (Span(8_000, 30_000), Span(45_000, 50_000))
        made = fill(audio, Span(34_000, 40_000), others=others)
        assert level_db(made) == pytest.approx(-20, abs=1)

    def test_frames_beyond_the_source_are_not_heard(self):
        audio = np.concatenate([noise(1, RATE), np.zeros((1, 2 * RATE), np.float32)], axis=1)
        span = Span(RATE, 3 * RATE)
        made = fill_ambience(
            Window(audio, RATE, (span,), RATE), span, np.random.default_rng(1), lambda share: None
        )
        assert level_db(made) == pytest.approx(-20, abs=1)


class TestSeeds:
    def test_a_seed_gives_the_same_samples(self):
        audio, span = noise(2, 3 * RATE), Span(RATE, 2 * RATE)
        assert np.array_equal(fill(audio, span), fill(audio, span))

    def test_two_seeds_share_no_passage(self):
        audio, span = crackle(8 * RATE), Span(3 * RATE, 5 * RATE)
        assert literalness(fill(audio, span), fill(audio, span, seed=2)) < 0.6

    def test_one_analysis_serves_all_seeds(self):
        audio, span = noise(1, 3 * RATE), Span(RATE, 2 * RATE)
        window = Window(audio, RATE, (span,), audio.shape[1])
        around = analyse(window, span, lambda share: None)
        assert around is not None
        for seed in (1, 2):
            rng = np.random.default_rng(seed)
            made = synthesise(around, span.length, rng, lambda share: None)
            assert np.array_equal(made, fill(audio, span, seed=seed))


class TestProgress:
    def test_it_rises_to_near_its_end(self):
        told: list[float] = []
        fill(noise(2, 4 * RATE), Span(RATE, 3 * RATE), step=told.append)
        assert told == sorted(told)
        assert told[0] >= 0
        assert 0.9 < told[-1] <= 1

    @pytest.mark.parametrize("share", [0.1, 0.6])
    def test_it_can_be_cancelled_from_within(self, share):
        class CancelledError(Exception):
            pass

        def step(done: float) -> None:
            if done >= share:
                raise CancelledError

        with pytest.raises(CancelledError):
            fill(noise(2, 4 * RATE), Span(RATE, 3 * RATE), step=step)


class TestNewness:
    @pytest.mark.parametrize(
        # Seconds of such crackle differ from each other by 2 dB themselves.
        ("texture", "tolerance_db"),
        [(lambda frames: noise(1, frames), 1.0), (brown, 1.0), (crackle, 3.0)],
    )
    def test_it_has_the_spectrum_of_its_surroundings_but_is_no_copy(self, texture, tolerance_db):
        audio, span = texture(9 * RATE), Span(3 * RATE, 6 * RATE)
        made = fill(audio, span)
        context = np.concatenate([audio[:, : span.start], audio[:, span.end :]], axis=1)
        assert np.abs(spectrum_db(made) - spectrum_db(context)).max() < tolerance_db
        true = audio[:, span.start : span.end]
        assert literalness(made, context) < literalness(true, context) + 0.2

    def test_noise_leaves_nothing_of_its_waveform(self):
        audio, span = noise(1, 6 * RATE), Span(2 * RATE, 4 * RATE)
        assert literalness(fill(audio, span), audio) < 0.2

    def test_noise_keeps_its_gusts(self):
        audio, span = noise(1, 10 * RATE), Span(3 * RATE, 7 * RATE)
        audio *= 1 + 0.3 * np.sin(2 * np.pi * 12 * np.arange(audio.shape[1]) / RATE)

        def unrest(sound: Audio) -> float:
            powers = np.square(sound).reshape(-1, RATE // 50).mean(axis=1)
            return float(powers.std() / powers.mean())

        assert unrest(fill(audio, span)) > 0.85 * unrest(audio[:, span.start : span.end])

    def test_crackle_stays_as_crisp_as_it_was(self):
        audio, span = crackle(9 * RATE), Span(3 * RATE, 6 * RATE)
        made = fill(audio, span)

        def peakedness(sound: Audio) -> float:
            return float(np.mean(sound.astype(np.float64) ** 4) / np.mean(sound**2) ** 2)

        assert peakedness(audio) > 20
        assert peakedness(made) > 0.6 * peakedness(audio)

    def test_ten_times_the_context_never_loops(self):
        context, times = crackle(3 * RATE), 10
        audio = np.pad(context, ((0, 0), (0, times * context.shape[1])))
        span = Span(context.shape[1], audio.shape[1])
        made = fill(audio, span)
        levels = 10 * np.log10(band_powers(made[0], bands_for(RATE)) + 1e-9)
        levels = (levels - levels.mean(axis=0)) / levels.std(axis=0)
        size = levels.shape[0]
        spectrum = np.square(np.abs(np.fft.rfft(levels, 2 * size, axis=0))).sum(axis=1)
        likeness = np.fft.irfft(spectrum)[: size // 2] / (size - np.arange(size // 2))
        later_than_half_a_second = likeness[50:] / likeness[0]
        assert later_than_half_a_second.max() < 0.15
        parts = np.array_split(made, times, axis=1)
        assert np.ptp([level_db(part) for part in parts]) < 2.0

    def test_it_goes_from_one_side_to_the_other(self):
        audio = np.concatenate([noise(1, 5 * RATE), 0.25 * noise(1, 5 * RATE, 1)], axis=1)
        made = fill(audio, Span(4 * RATE, 6 * RATE))
        levels = [level_db(part) for part in np.array_split(made, 8, axis=1)]
        assert levels[0] == pytest.approx(-20.7, abs=1.5)
        assert levels[-1] == pytest.approx(-31, abs=1.5)
        assert np.all(np.diff(levels) < 0.7)

    def test_a_steady_hum_keeps_its_amplitude_through_the_gap(self):
        at_s = np.arange(8 * RATE) / RATE
        tones = sum(0.1 * np.sin(2 * np.pi * hz * at_s + hz) for hz in (50, 150, 350))
        audio = (tones[np.newaxis] + noise(1, at_s.size, level=0.003)).astype(np.float32)
        made = fill(audio, Span(3 * RATE, 5 * RATE))
        for hz in (50, 150, 350):
            narrow = signal.butter(2, [hz - 12, hz + 12], "band", fs=RATE, output="sos")
            envelope = np.abs(signal.hilbert(signal.sosfiltfilt(narrow, made[0])))[4_000:-4_000]
            assert envelope.mean() == pytest.approx(0.1, rel=0.1)
            assert envelope.std() < 0.1 * envelope.mean()


class TestEvents:
    def tone_burst(self, frames: int) -> Audio:
        return (0.5 * np.sin(np.arange(frames) * 0.8)).astype(np.float32)

    def test_a_call_in_the_context_is_neither_copied_nor_smeared(self):
        audio, span = noise(1, 8 * RATE, level=0.01), Span(3 * RATE, 5 * RATE)
        for at in (1.0, 2.2, 6.0):
            audio[0, round(at * RATE) :][:4_000] += self.tone_burst(4_000)
        assert level_db(fill(audio, span)) == pytest.approx(-40, abs=1)

    def test_a_call_cut_by_the_gap_does_not_colour_the_fill(self):
        audio, span = noise(1, 8 * RATE, level=0.01), Span(3 * RATE, 5 * RATE)
        audio[0, span.start - 2_000 : span.start] += self.tone_burst(2_000)
        assert level_db(fill(audio, span)) == pytest.approx(-40, abs=1)

    def test_a_lone_click_is_left_behind(self):
        audio, span = noise(1, 6 * RATE, level=0.001), Span(2 * RATE, 4 * RATE)
        audio[0, RATE] = 1.0
        assert np.abs(fill(audio, span)).max() < 0.01

    def test_frequent_strokes_are_no_events(self):
        bands = bands_for(RATE)
        crackling = 10 * np.log10(band_powers(crackle(8 * RATE)[0], bands))
        assert not events(crackling).any()


class TestChannels:
    def test_the_image_is_kept(self):
        middle, left, right = noise(3, 8 * RATE)
        audio = np.stack([middle + 0.5 * left, 0.5 * middle + 0.25 * right])
        span = Span(3 * RATE, 5 * RATE)
        made = fill(audio, span)
        assert np.corrcoef(made)[0, 1] == pytest.approx(np.corrcoef(audio)[0, 1], abs=0.05)
        assert level_db(made[:1]) - level_db(made[1:]) == pytest.approx(
            level_db(audio[:1]) - level_db(audio[1:]), abs=0.5
        )

    def test_opposite_channels_stay_opposite(self):
        mono = noise(1, 4 * RATE)
        made = fill(np.concatenate([mono, -mono]), Span(RATE, 2 * RATE))
        assert np.allclose(made[0], -made[1], atol=1e-6)

    def test_a_silent_channel_stays_silent(self):
        audio = noise(2, 4 * RATE)
        audio[1] = 0
        made = fill(audio, Span(RATE, 2 * RATE))
        assert not made[1].any()
        assert level_db(made[:1]) == pytest.approx(-20, abs=1)


class TestSilenceAndOffset:
    def test_silence_stays_silence(self):
        assert not fill(np.zeros((2, 4 * RATE), np.float32), Span(RATE, 2 * RATE)).any()

    def test_a_constant_offset_goes_on(self):
        audio = noise(2, 4 * RATE, level=0.01) + np.float32([[0.3], [-0.2]])
        made = fill(audio, Span(RATE, 2 * RATE))
        assert made.mean(axis=1) == pytest.approx([0.3, -0.2], abs=0.002)
        assert level_db(made - made.mean(axis=1, keepdims=True)) == pytest.approx(-40, abs=1)

    def test_sound_fades_in_from_silence(self):
        audio = noise(1, 6 * RATE)
        audio[:, : 2 * RATE] = 0
        made = fill(audio, Span(2 * RATE, 4 * RATE))
        levels = [level_db(part) for part in np.array_split(made, 8, axis=1)]
        assert levels[0] < -35
        assert levels[-1] == pytest.approx(-20.5, abs=1.5)
        assert np.all(np.diff(levels) > 0)


class TestMeasures:
    def test_kurtosis_tells_noise_from_clatter(self):
        bands = bands_for(RATE)
        heard = bands.centres_hz > 300
        assert kurtosis(noise(1, 8 * RATE)[0], bands)[heard] == pytest.approx(2.0, abs=0.15)
        assert kurtosis(crackle(8 * RATE)[0], bands)[heard].min() > 2.3

    def test_lines_are_found_where_they_are(self):
        bands = bands_for(RATE)
        samples = noise(1, 4 * RATE, level=0.01)[0]
        assert not line_share(samples, bands).any()
        samples += (0.1 * np.sin(np.arange(samples.size) * 2 * np.pi * 1_000 / RATE)).astype("f4")
        share = line_share(samples, bands)
        assert share[np.argmin(np.abs(bands.centres_hz - 1_000))] > 0.9
        assert not share[bands.centres_hz > 1_500].any()

    def test_band_powers_see_all_of_a_signal(self):
        bands = bands_for(RATE)
        samples = noise(1, RATE + 37)[0]
        powers = band_powers(samples, bands)
        assert powers.shape == (samples.size // bands.hop + 1, bands.count)
        assert powers.std(axis=0).max() < 2 * powers.mean()
