const MAX_PEAKS = 400_000;
const PEAKS_PER_S = 1000;

/**
 * Decode a file for listening, at the context's rate.
 *
 * @param {BaseAudioContext} context
 * @param {Blob} file
 * @returns {Promise<AudioBuffer | null>} null for a kind of file that the browser can't decode
 */
export async function decode(context, file) {
  try {
    return await context.decodeAudioData(await file.arrayBuffer());
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

/**
 * Return the outline of a recording: its highest and its lowest samples, over all channels.
 *
 * @param {AudioBuffer} buffer
 * @returns {[Float32Array, Float32Array]}
 */
export function outline(buffer) {
  const count = Math.max(1, Math.min(MAX_PEAKS, Math.ceil(buffer.duration * PEAKS_PER_S)));
  const high = new Float32Array(count);
  const low = new Float32Array(count);
  for (let number = 0; number < buffer.numberOfChannels; number += 1) {
    const samples = buffer.getChannelData(number);
    for (let place = 0; place < count; place += 1) {
      const end = Math.floor(((place + 1) * samples.length) / count);
      for (let n = Math.floor((place * samples.length) / count); n < end; n += 1) {
        if (samples[n] > high[place]) high[place] = samples[n];
        else if (samples[n] < low[place]) low[place] = samples[n];
      }
    }
  }
  return [high, low];
}

/** Return how much memory a decoded recording takes, in bytes. */
export function sizeOf(buffer) {
  return buffer.length * buffer.numberOfChannels * 4;
}
