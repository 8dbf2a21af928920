--- Sound as REAPER gives it: what a source holds, samples through an accessor, peaks.

local errors = require("reapaint.errors")

local M = {}

--- Values that one read may ask for: few enough to cost a few milliseconds at most, far below
--- the 4,194,303 values that a reaper.array can hold.
local MAX_VALUES = 32768
local FIRST_VALUES = 4096
local MIN_VALUES = 1024
--- What one tick may spend on reading: a person feels 10 ms, and a slice may cost more than
--- the last ones made expect.
local READ_BUDGET_S = 0.007
local BUDGET_SHARE = 0.7
local PEAK_BUDGET_S = 0.003
local MAX_PEAK_STEPS = 256
local VALUES_PER_PACK = 256
local PACK_FORMAT = "<" .. ("f"):rep(VALUES_PER_PACK)

-- Sources

local PLAIN_TYPES = { WAVE = true, AIFF = true, FLAC = true, VORBIS = true, WAVPACK = true }

--- Whether a take's file can be read by path. Compressed files whose decoders disagree about
--- where the sound begins (MP3, AAC) are not: REAPER's own decoding is what is heard.
---@param take MediaItem_Take
---@return boolean
function M.is_plain_file(take)
  local source = reaper.GetMediaItemTake_Source(take)
  local path = reaper.GetMediaSourceFileName(source)
  return PLAIN_TYPES[reaper.GetMediaSourceType(source)] == true
    and path ~= ""
    and reaper.file_exists(path)
end

local function root(source)
  local parent = reaper.GetMediaSourceParent(source)
  while parent do
    source = parent
    parent = reaper.GetMediaSourceParent(source)
  end
  return source
end

local function properties(source)
  local length, in_beats = reaper.GetMediaSourceLength(source)
  return {
    length_s = in_beats and 0 or length,
    sample_rate = reaper.GetMediaSourceSampleRate(source),
    channels = reaper.GetMediaSourceNumChannels(source),
  }
end

local function is_known(found)
  return found.length_s > 0 and found.sample_rate > 0 and found.channels > 0
end

--- Rate, channels and length from the header of a WAV file.
---@param path string
local function wav_header(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local found = nil
  local riff = file:read(12) or ""
  if #riff == 12 and (riff:sub(1, 4) == "RIFF" or riff:sub(1, 4) == "RF64") then
    local channels, rate, block
    while true do
      local head = file:read(8)
      if not head or #head < 8 then
        break
      end
      local size = string.unpack("<I4", head, 5)
      if head:sub(1, 4) == "fmt " then
        local body = file:read(size) or ""
        if #body < 14 then
          break
        end
        channels, rate, block = string.unpack("<I2I4xxxxI2", body, 3)
      elseif head:sub(1, 4) == "data" then
        if rate and rate > 0 and block > 0 then
          local length_s = size // block / rate
          found = { length_s = length_s, sample_rate = rate, channels = channels }
        end
        break
      else
        file:seek("cur", size + size % 2)
      end
    end
  end
  file:close()
  return found
end

--- What a take's source holds. REAPER may answer 0 for media that was offline once, or while
--- the audio device is closed; a fresh look at the file, then its header, answer then. The
--- project's rate never does: it would change pitch and length.
---@param take MediaItem_Take
---@return { length_s: number, sample_rate: integer, channels: integer }?, reapaint.Error?
function M.properties(take)
  local source = reaper.GetMediaItemTake_Source(take)
  local found = properties(source)
  if is_known(found) then
    return found
  end
  local path = reaper.GetMediaSourceFileName(root(source))
  local fresh = path ~= "" and reaper.PCM_Source_CreateFromFile(path)
  if fresh then
    found = properties(fresh)
    reaper.PCM_Source_Destroy(fresh)
  end
  if not is_known(found) then
    found = wav_header(path) or found
  end
  if is_known(found) then
    return found
  end
  return nil,
    errors.new(
      "unknown_source",
      "REAPER does not know this media's length or sample rate.",
      "Glue the item, then try again."
    )
end

-- Reading

---@class reapaint.Reader
---@field accessor AudioAccessor
---@field buffer reaper.array
---@field file file*
---@field sample_rate integer
---@field channels integer
---@field start_s number
---@field frames integer
---@field done integer
---@field cost_s number? seconds a value, as measured

--- Begin to read a take's sound, as REAPER plays it, into a file of float32.
---@param take MediaItem_Take
---@param plan reapaint.Reading
---@param path string
---@return reapaint.Reader?, reapaint.Error?
function M.open_reader(take, plan, path)
  local file, reason = io.open(path, "wb")
  if not file then
    return nil,
      errors.new("spool_not_writable", string.format("Could not write %s (%s).", path, reason))
  end
  local accessor = reaper.CreateTakeAudioAccessor(take)
  if not accessor then
    file:close()
    return nil, errors.new("unreadable_take", "REAPER gives no access to this take's sound.")
  end
  local end_s = plan.start_s + plan.frames / plan.sample_rate
  if plan.loops and reaper.GetAudioAccessorEndTime(accessor) < end_s - 0.001 then
    reaper.DestroyAudioAccessor(accessor)
    file:close()
    return nil,
      errors.new(
        "unreadable_loop",
        "REAPER gives only one pass of this looped item's sound.",
        "Glue the item first."
      )
  end
  return {
    accessor = accessor,
    buffer = reaper.new_array(MAX_VALUES),
    file = file,
    sample_rate = plan.sample_rate,
    channels = plan.channels,
    start_s = plan.start_s,
    frames = plan.frames,
    done = 0,
  }
end

---@param reader reapaint.Reader
function M.close_reader(reader)
  if reader.accessor then
    reaper.DestroyAudioAccessor(reader.accessor)
    reader.accessor = nil
  end
  if reader.file then
    reader.file:close()
    reader.file = nil
  end
end

---@param values number[]
---@param count integer
---@return string
local function pack(values, count)
  local packed = {}
  local whole = count - count % VALUES_PER_PACK
  for first = 1, whole, VALUES_PER_PACK do
    local last = first + VALUES_PER_PACK - 1
    packed[#packed + 1] = string.pack(PACK_FORMAT, table.unpack(values, first, last))
  end
  if count > whole then
    local format = "<" .. ("f"):rep(count - whole)
    packed[#packed + 1] = string.pack(format, table.unpack(values, whole + 1, count))
  end
  return table.concat(packed)
end

local function read_slice(reader, values)
  local frames = math.min(math.max(1, values // reader.channels), reader.frames - reader.done)
  local start_s = reader.start_s + reader.done / reader.sample_rate
  -- Past its end an item leaves the buffer as it is: what stood there would be heard again.
  reader.buffer.clear()
  local answer = reaper.GetAudioAccessorSamples(
    reader.accessor,
    reader.sample_rate,
    reader.channels,
    start_s,
    frames,
    reader.buffer
  )
  if not answer or answer < 0 then
    return nil, errors.new("unreadable_take", "REAPER could not read this item's sound.")
  end
  local count = frames * reader.channels
  local ok, reason = reader.file:write(pack(reader.buffer.table(1, count), count))
  if not ok then
    return nil,
      errors.new("disk_full", string.format("Could not store this item's sound (%s).", reason))
  end
  reader.done = reader.done + frames
  return true
end

--- How many values fit into what is left of a tick; the first slice of all finds out the cost.
local function count_affordable(reader, left_s)
  if not reader.cost_s then
    return FIRST_VALUES
  end
  return math.min(MAX_VALUES, math.floor(left_s * BUDGET_SHARE / reader.cost_s))
end

--- Read on for a few milliseconds. Never from a coroutine: an accessor gives nothing there.
---@param reader reapaint.Reader
---@return boolean? finished nil after an error
---@return reapaint.Error?
function M.read_on(reader)
  local started = reaper.time_precise()
  local values = math.max(MIN_VALUES, count_affordable(reader, READ_BUDGET_S))
  while reader.done < reader.frames and values >= MIN_VALUES do
    local before_s, before = reaper.time_precise(), reader.done
    local ok, err = read_slice(reader, values)
    if not ok then
      return nil, err
    end
    local now_s = reaper.time_precise()
    local cost_s = (now_s - before_s) / ((reader.done - before) * reader.channels)
    -- A slow slice counts at once, and is forgotten slowly.
    reader.cost_s = math.max(cost_s, 0.8 * (reader.cost_s or 0) + 0.2 * cost_s)
    values = count_affordable(reader, READ_BUDGET_S - (now_s - started))
  end
  return reader.done >= reader.frames
end

-- Results

--- Open a result and start on its peaks.
---@param path string
---@return { source: PCM_source, needs_peaks: boolean }?, reapaint.Error? `missing_result` for
---ever, `unopened_result` for now
function M.open_result(path)
  if not reaper.file_exists(path) then
    return nil,
      errors.new(
        "missing_result",
        string.format("The file of the result, %s, is gone.", path),
        "Try again with a new seed."
      )
  end
  local source = reaper.PCM_Source_CreateFromFile(path)
  if not source then
    return nil, errors.new("unopened_result", "REAPER could not open its file " .. path)
  end
  return { source = source, needs_peaks = reaper.PCM_Source_BuildPeaks(source, 0) ~= 0 }
end

--- Build peaks for a few milliseconds, so that the take is not blank when it appears.
---@param results { source: PCM_source, needs_peaks: boolean }[]
---@return boolean finished
function M.build_peaks(results)
  local started, steps = reaper.time_precise(), 0
  for _, result in ipairs(results) do
    while result.needs_peaks do
      steps = steps + 1
      if reaper.PCM_Source_BuildPeaks(result.source, 1) == 0 then
        reaper.PCM_Source_BuildPeaks(result.source, 2)
        result.needs_peaks = false
      end
      if steps >= MAX_PEAK_STEPS or reaper.time_precise() - started > PEAK_BUDGET_S then
        return false
      end
    end
  end
  return true
end

--- Let go of sources that no take owns.
---@param results { source: PCM_source }[]
function M.destroy(results)
  for _, result in ipairs(results) do
    if result.source then
      reaper.PCM_Source_Destroy(result.source)
      result.source = nil
    end
  end
end

return M
