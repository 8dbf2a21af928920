"""The timeline as samples: what is exact, what adds up, what a fade does."""

import numpy as np
import pytest
from scipy.io import wavfile

from tests.reaper_sim.fades import fade_in, fade_out
from tests.reaper_sim.model import TakeEffect
from tests.reaper_sim.simulator import Reaper, Switches
from tests.reaper_sim.sources import SectionSource


def samples(path):
    return wavfile.read(path)[1].T


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_an_untouched_item_comes_out_bit_for_bit(sim, record, channels):
    path = record(channels=channels)
    sim.project.add_track().add_item(path, 0.5, offset=0.25)
    heard = sim.render(0.5, 4.25)
    expected = samples(path).reshape(channels, -1)[:, 12_000:]
    np.testing.assert_array_equal(heard[:channels], expected)
    if channels == 1:
        np.testing.assert_array_equal(heard[0], heard[1])


def test_24_bit_and_flac_sources_are_read_as_they_are(sim, tmp_path):
    import av

    path = tmp_path / "a.flac"
    whole = np.random.default_rng(0).integers(-30_000, 30_000, (1, 9600)).astype(np.int16)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("flac", rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    sim.project.add_track().add_item(path, 0.0)
    np.testing.assert_array_equal(sim.render(0.0, 0.2)[0], whole[0] / np.float32(32768))


def test_splits_between_two_samples_change_nothing(sim, item):
    before = sim.render(0.0, 6.0)
    for at_s in (4.123456789, 3.0000041, 1.5 + 0.5 / 48_000):
        sim.run_lua(
            f"reaper.Undo_BeginBlock2(0) reaper.SplitMediaItem(reaper.GetMediaItem(0, 0), {at_s!r})"
            " reaper.Undo_EndBlock2(0, 'Split', 4)"
        )
    assert len(sim.project.items) == 4
    np.testing.assert_array_equal(sim.render(0.0, 6.0), before)


def test_volume_polarity_pan_and_effects(sim, record):
    path = record()
    track = sim.project.add_track()
    track.values["D_VOL"] = 0.5
    item = track.add_item(path, 0.0, volume=-0.5, item_volume=2.0, pan=0.25)
    item.take.effects.append(TakeEffect(gain=0.5))
    left, right = samples(path)
    heard = sim.render(0.0, 4.0)
    np.testing.assert_allclose(heard[0], -0.25 * 0.75 * left, atol=1e-7)
    np.testing.assert_allclose(heard[1], -0.25 * right, atol=1e-7)


def test_mutes_lanes_and_tracks(sim, record):
    path = record()
    track = sim.project.add_track()
    item = track.add_item(path, 0.0)
    for quiet in (item, track):
        quiet.values["B_MUTE"] = 1.0
        assert not sim.render(0.0, 1.0).any()
        quiet.values["B_MUTE"] = 0.0
    track.set_lanes(2, {1})
    assert not sim.render(0.0, 1.0).any()
    track.lanes_playing = {0}
    assert sim.render(0.0, 1.0).any()


def test_envelopes_count_time_as_the_take_plays(sim, record):
    path = record()
    item = sim.project.add_track().add_item(path, 0.0, rate=2.0)
    item.take.add_envelope("Volume", (0.0, 0.0), (1.0, 1.0))
    quiet = sim.render(0.25, 0.2501)
    item.take.envelopes["Volume"].active = False
    full = sim.render(0.25, 0.2501)
    np.testing.assert_allclose(quiet[:, 0], full[:, 0] * 0.5, rtol=1e-3)


@pytest.mark.parametrize("rate", [0.5, 1.5])
def test_play_rates_follow_the_source(sim, tmp_path, rate):
    tone = np.sin(2 * np.pi * 500 * np.arange(96_000) / 48_000).astype(np.float32)
    wavfile.write(tmp_path / "tone.wav", 48_000, tone)
    sim.project.add_track().add_item(tmp_path / "tone.wav", 1.0, rate=rate)
    heard = sim.render(1.2, 1.3)[0]
    expected = np.sin(2 * np.pi * 500 * rate * (0.2 + np.arange(4800) / 48_000))
    assert np.abs(heard - expected).max() < 1e-5


def test_preserved_pitch_keeps_the_tone_and_the_pace(sim, tmp_path):
    tone = np.sin(2 * np.pi * 500 * np.arange(96_000) / 48_000).astype(np.float32)
    wavfile.write(tmp_path / "tone.wav", 48_000, tone)
    sim.project.add_track().add_item(tmp_path / "tone.wav", 0.0, rate=0.5, preserve_pitch=1)
    spectrum = np.abs(np.fft.rfft(sim.render(1.0, 2.0)[0] * np.hanning(48_000)))
    assert abs(int(spectrum.argmax()) - 500) <= 20


def test_another_source_rate_is_band_limited(sim, tmp_path):
    rate = 96_000
    time = np.arange(rate) / rate
    both = np.sin(2 * np.pi * 1000 * time) + np.sin(2 * np.pi * 40_000 * time)
    wavfile.write(tmp_path / "both.wav", rate, (0.4 * both).astype(np.float32))
    sim.project.add_track().add_item(tmp_path / "both.wav", 0.0)
    heard = sim.render(0.2, 0.4)[0]
    expected = 0.4 * np.sin(2 * np.pi * 1000 * (0.2 + np.arange(9600) / 48_000))
    assert np.abs(heard - expected).max() < 1e-4


def test_reversed_sections(sim, record):
    path = record()
    source = SectionSource(sim.source_file(path), 1.0, 2.0, reverse=True)
    sim.project.add_track().add_item(source, 0.0)
    np.testing.assert_array_equal(sim.render(0.0, 2.0), samples(path)[:, 144_000 - 1 : 47_999 : -1])


def test_past_the_source_is_silence_unless_it_loops(sim, record):
    path = record(1.0)
    item = sim.project.add_track().add_item(path, 0.0, 2.0)
    assert not sim.render(1.0, 2.0).any()
    item.values["B_LOOPSRC"] = 1.0
    np.testing.assert_array_equal(sim.render(1.0, 2.0), samples(path))
    item.take.values["D_STARTOFFS"] = -0.5
    np.testing.assert_array_equal(sim.render(0.5, 1.5), samples(path))


def test_fade_curves_begin_and_end_where_they_must():
    x = np.linspace(0, 1, 101)
    for shape in range(7):
        curve = fade_in(x, shape, 0.0)
        np.testing.assert_allclose((curve[0], curve[-1]), (0.0, 1.0), atol=1e-12)
        assert (np.diff(curve) >= -1e-12).all()
        np.testing.assert_allclose(fade_out(x, shape, 0.0), curve[::-1], atol=1e-12)
    for curvature in (-1.0, -0.3, 0.6, 1.0):
        for shape in range(5):
            curve = fade_in(x, shape, curvature)
            np.testing.assert_allclose((curve[0], curve[-1]), (0.0, 1.0), atol=1e-12)


def test_shape_0_adds_up_to_one_and_shape_1_to_a_bump():
    x = np.linspace(0, 1, 101)
    np.testing.assert_allclose(fade_in(x, 0, 0) + fade_out(x, 0, 0), 1.0)
    assert (fade_in(x, 1, 0) + fade_out(x, 1, 0))[50] == pytest.approx(1.5)


def overlapping(sim, path, shape, *, automatic):
    """Lay the same sound twice, the second half going on under a fade of 0.5 s."""
    track = sim.project.add_track()
    left = track.add_item(path, 0.0, 2.5, fade_out_shape=shape)
    right = track.add_item(path, 2.0, 2.0, offset=2.0, fade_in_shape=shape)
    suffix = "_AUTO" if automatic else ""
    left.values[f"D_FADEOUTLEN{suffix}"] = right.values[f"D_FADEINLEN{suffix}"] = 0.5
    return sim.render(0.0, 4.0)


def test_a_linear_crossfade_of_the_same_sound_is_that_sound(sim, record):
    path = record()
    np.testing.assert_array_equal(overlapping(sim, path, 0, automatic=True), samples(path))


def test_the_default_crossfade_of_the_same_sound_bumps(sim, record):
    path = record()
    heard = overlapping(sim, path, 1, automatic=True)
    middle = slice(round(2.24 * 48_000), round(2.26 * 48_000))
    ratio = np.abs(heard[0, middle]).sum() / np.abs(samples(path)[0, middle]).sum()
    assert ratio == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("answer", ["sum", "ignored"])
def test_manual_fades_in_overlaps(tmp_path, record, answer):
    path = record()
    with Reaper(tmp_path / "m", switches=Switches(manual_fades_in_overlaps=answer)) as sim:
        heard = overlapping(sim, path, 0, automatic=False)
        assert np.array_equal(heard, samples(path)) == (answer == "sum")


def test_automatic_fades_override_manual_ones(sim, record):
    path = record()
    item = sim.project.add_track().add_item(path, 0.0, fade_in=2.0, fade_in_shape=0)
    item.values["D_FADEINLEN_AUTO"] = 0.5
    heard = sim.render(0.0, 1.0)
    np.testing.assert_array_equal(heard[:, 24_000:], samples(path)[:, 24_000:48_000])
    np.testing.assert_allclose(heard[:, 12_000], samples(path)[:, 12_000] * 0.5)


@pytest.mark.parametrize("mix", ["enclosed_replaces", "mix"])
def test_enclosed_items(tmp_path, record, mix):
    path = record()
    with Reaper(tmp_path / "m", switches=Switches(item_mix=mix)) as sim:
        track = sim.project.add_track()
        track.add_item(path, 0.0)
        track.add_item(path, 1.0, 1.0, offset=0.5)
        heard = sim.render(1.0, 2.0)
        inner, outer = samples(path)[:, 24_000:72_000], samples(path)[:, 48_000:96_000]
        np.testing.assert_allclose(
            heard, inner + (outer if mix == "mix" else 0), atol=1e-7 if mix == "mix" else 0
        )
