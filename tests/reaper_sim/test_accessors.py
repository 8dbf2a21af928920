"""The take accessor, as BEHAVIOUR part B3 has it."""

import numpy as np
import pytest
from scipy.io import wavfile

from tests.reaper_sim.model import TakeEffect
from tests.reaper_sim.simulator import Reaper, SimulationError, Switches
from tests.reaper_sim.sources import MidiSource

READ = """
    local take = reaper.GetActiveTake(reaper.GetMediaItem(0, 0))
    local accessor = reaper.CreateTakeAudioAccessor(take)
    local buffer = reaper.new_array(FRAMES * CHANNELS)
    buffer.clear(9)
    local code = reaper.GetAudioAccessorSamples(accessor, RATE, CHANNELS, START, FRAMES, buffer)
    local first, last = reaper.GetAudioAccessorStartTime(accessor),
        reaper.GetAudioAccessorEndTime(accessor)
    reaper.DestroyAudioAccessor(accessor)
    return code, buffer.table(), first, last
"""


def read(sim, start_s, frames, channels=2, rate=48_000):
    code = READ
    for word, value in zip(
        ("FRAMES", "CHANNELS", "RATE", "START"), (frames, channels, rate, start_s), strict=True
    ):
        code = code.replace(word, repr(value))
    answer, values, first, last = sim.run_lua(code)
    return answer, np.array(values).reshape(frames, channels).T, first, last


def samples(item):
    return wavfile.read(item.take.path)[1].T


def test_time_is_the_items_and_samples_are_the_files(sim, item):
    item.take.values["D_STARTOFFS"] = 0.5
    answer, values, first, last = read(sim, 0.25, 4800)
    assert (answer, first, last) == (1, 0.0, 4.0)
    np.testing.assert_array_equal(values, samples(item)[:, 36_000 : 36_000 + 4800])


def test_volume_pan_envelopes_and_item_volume_are_not_in_it(sim, item):
    item.values["D_VOL"] = 0.5
    item.take.values |= {"D_VOL": -0.5, "D_PAN": 0.7}
    item.take.add_envelope("Volume", (0.0, 0.1))
    _, values, _, _ = read(sim, 0.0, 100)
    np.testing.assert_array_equal(values, samples(item)[:, :100])


def test_play_rate_channel_mode_and_offset_are_in_it(sim, item):
    item.take.values |= {"D_PLAYRATE": 2.0, "I_CHANMODE": 4.0}
    _, values, _, _ = read(sim, 0.5, 2000)
    heard = sim.render(1.5, 1.5 + 2000 / 48_000)
    np.testing.assert_allclose(values, heard, atol=1e-6)
    np.testing.assert_array_equal(values[0], values[1])


def test_what_lies_past_the_end_is_not_written(sim, item):
    item.length = 1.0
    answer, values, _, _ = read(sim, 0.99, 960)
    assert answer == 1
    np.testing.assert_array_equal(values[:, :480], samples(item)[:, 47_520:48_000])
    assert (values[:, 480:] == 9).all()
    answer, values, _, _ = read(sim, 1.0, 10)
    assert answer == 0
    assert (values == 9).all()


@pytest.mark.parametrize("answer", ["untouched", "silent"])
def test_channels_beyond_the_sources(tmp_path, record, answer):
    switches = Switches(accessor_extra_channels=answer)
    with Reaper(tmp_path / "m", switches=switches) as sim:
        item = sim.project.add_track().add_item(record(channels=1), 0.0)
        _, values, _, _ = read(sim, 0.0, 50, channels=3)
        np.testing.assert_array_equal(values[0], wavfile.read(item.take.path)[1][:50])
        assert (values[1:] == (9 if answer == "untouched" else 0)).all()


@pytest.mark.parametrize("loop", ["wraps", "ends"])
@pytest.mark.parametrize("end", ["item", "source"])
def test_loops(tmp_path, record, loop, end):
    switches = Switches(accessor_loop=loop, accessor_end_time=end)
    with Reaper(tmp_path / "m", switches=switches) as sim:
        item = sim.project.add_track().add_item(record(1.0), 0.0, 2.5, loop=1)
        answer, values, _, last = read(sim, 1.0, 100)
        assert last == (2.5 if end == "item" else 1.0)
        assert answer == (1 if end == "item" else 0)
        wrapped = samples(item)[:, :100]
        if end == "item":
            np.testing.assert_array_equal(values, wrapped if loop == "wraps" else 0 * wrapped)
        np.testing.assert_array_equal(sim.render(1.0, 1.0 + 100 / 48_000), wrapped)


@pytest.mark.parametrize("fades", [True, False])
def test_fades(tmp_path, record, fades):
    with Reaper(tmp_path / "m", switches=Switches(accessor_fades=fades)) as sim:
        sim.project.add_track().add_item(record(), 0.0, fade_in=1.0, fade_in_shape=0)
        _, values, _, _ = read(sim, 0.5, 10)
        whole = sim.render(0.5, 0.5 + 10 / 48_000)
        assert np.allclose(values, whole, atol=1e-7) == fades


@pytest.mark.parametrize("effects", [True, False])
def test_take_effects(tmp_path, record, effects):
    with Reaper(tmp_path / "m", switches=Switches(accessor_take_fx=effects)) as sim:
        item = sim.project.add_track().add_item(record(), 0.0)
        item.take.effects.append(TakeEffect(gain=0.5))
        _, values, _, _ = read(sim, 0.0, 10)
        np.testing.assert_allclose(values, samples(item)[:, :10] * (0.5 if effects else 1.0))


def test_another_rate_is_resampled(sim, tmp_path):
    rate = 44_100
    tone = np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32)
    wavfile.write(tmp_path / "tone.wav", rate, tone)
    sim.project.add_track().add_item(tmp_path / "tone.wav", 0.0)
    _, values, _, _ = read(sim, 0.25, 4800, channels=1)
    expected = np.sin(2 * np.pi * 1000 * (0.25 + np.arange(4800) / 48_000))
    assert np.abs(values[0] - expected).max() < 1e-5


def test_a_forgotten_accessor_is_a_leak(sim, item):
    with pytest.raises(SimulationError, match="never destroyed"):
        sim.run_lua(
            "reaper.CreateTakeAudioAccessor(reaper.GetActiveTake(reaper.GetMediaItem(0, 0)))"
        )
    sim.violations.clear()


def test_edits_make_an_accessor_stale_until_it_is_updated(sim, item):
    code = """
        local item = reaper.GetMediaItem(0, 0)
        local accessor = reaper.CreateTakeAudioAccessor(reaper.GetActiveTake(item))
        local before = reaper.AudioAccessorStateChanged(accessor)
        reaper.SetMediaItemInfo_Value(item, "D_LENGTH", 2)
        local after = reaper.AudioAccessorStateChanged(accessor)
        reaper.AudioAccessorUpdate(accessor)
        local updated = reaper.AudioAccessorStateChanged(accessor)
        reaper.DestroyAudioAccessor(accessor)
        return before, after, updated
    """
    assert sim.run_lua(code) == (False, True, False)


def test_an_array_that_is_too_small_is_caught(sim, item):
    with pytest.raises(SimulationError, match="writes 10 x 2 values into 19"):
        sim.run_lua(
            "local a = reaper.CreateTakeAudioAccessor(reaper.GetActiveTake(reaper.GetMediaItem(0,"
            " 0))) reaper.GetAudioAccessorSamples(a, 48000, 2, 0, 10, reaper.new_array(19))"
        )
    sim.violations.clear()


def test_midi_and_offline_media_give_nothing(sim, record):
    sim.project.add_track().add_item(MidiSource(), 0.0)
    assert read(sim, 0.0, 10)[0] == 0
    sim.project.delete_item(sim.project.items[0])
    item = sim.project.tracks[0].add_item(record(), 0.0)
    item.take.source.is_offline = True
    assert read(sim, 0.0, 10)[0] == 0


def test_a_track_is_read_in_project_time_before_its_fader(sim, item):
    item.track.values["D_VOL"] = 0.25
    item.take.values["D_VOL"] = -0.5
    code = """
        local accessor = reaper.CreateTrackAudioAccessor(reaper.GetTrack(0, 0))
        local buffer = reaper.new_array(4)
        local got = reaper.GetAudioAccessorSamples(accessor, 48000, 2, 2.0, 2, buffer)
        local first, last = reaper.GetAudioAccessorStartTime(accessor),
            reaper.GetAudioAccessorEndTime(accessor)
        reaper.DestroyAudioAccessor(accessor)
        return got, first, last, buffer[1], buffer[2]
    """
    got, first, last, left, right = sim.run_lua(code)
    assert (got, first, last) == (1, item.position, item.end)
    heard = sim.render(2.0, 2.1)[:, 0] / 0.25
    np.testing.assert_allclose([left, right], heard, rtol=1e-6)
