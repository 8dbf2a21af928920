--- What the self-test finds out at once: each check says what this REAPER did.

local project = require("reapaint.project")
local scenes = require("reapaint.selftest_scene")
local spool = require("reapaint.spool")

local M = {}

local AUTO_CROSSFADE_ON_SPLIT = 40912
local TOGGLE_LOCKING = 1135
local FRAMES_BEFORE_END = 24000
local SAMPLE_RATE, LEVEL, FILE_SECONDS = scenes.SAMPLE_RATE, scenes.LEVEL, scenes.FILE_SECONDS
local add_item = scenes.add_item

--- Samples of an accessor as a Lua table; -7 stands where nothing was written.
local function read(accessor, channels, start_s, frames)
  local buffer = reaper.new_array(frames * channels)
  buffer.clear(-7)
  local answer =
    reaper.GetAudioAccessorSamples(accessor, SAMPLE_RATE, channels, start_s, frames, buffer)
  return buffer.table(1, frames * channels), answer
end

local function with_take_accessor(take, use)
  local accessor = reaper.CreateTakeAudioAccessor(take)
  local ok, result = pcall(use, accessor)
  reaper.DestroyAudioAccessor(accessor)
  return ok and result or error(result, 0)
end

local function numbers(...)
  local texts = {}
  for index, value in ipairs({ ... }) do
    texts[index] = string.format("%.9g", value)
  end
  return table.concat(texts, " ")
end

-- The checks

local function accessor_fades(scene)
  local item, take = add_item(scene.track, scene.path, 0, 1)
  reaper.SetMediaItemInfo_Value(item, "D_FADEINLEN", 0.5)
  return with_take_accessor(take, function(accessor)
    local samples = read(accessor, 1, 0.1, 1)
    local faded = math.abs(samples[1] - LEVEL) > 0.01
    return (faded and "item fades are in" or "no item fades") .. ": " .. numbers(samples[1])
  end)
end

local function accessor_volume(scene)
  local item, take = add_item(scene.track, scene.path, 2, 1)
  reaper.SetMediaItemInfo_Value(item, "D_VOL", 0.25)
  reaper.SetMediaItemTakeInfo_Value(take, "D_VOL", -0.5)
  return with_take_accessor(take, function(accessor)
    return "level 0.5 reads as " .. numbers(read(accessor, 1, 0.1, 1)[1])
  end)
end

local function accessor_fx(scene)
  local _, take = add_item(scene.track, scene.path, 32, 1)
  local fx = reaper.TakeFX_AddByName(take, "JS:utility/volume", 1)
  if fx < 0 then
    return "JS:utility/volume is not installed"
  end
  reaper.TakeFX_SetParam(take, fx, 0, -20)
  return with_take_accessor(take, function(accessor)
    local level = read(accessor, 1, 0.5, 1)[1]
    return (math.abs(level - LEVEL) < 0.01 and "before" or "after")
      .. " take FX: "
      .. numbers(level)
  end)
end

local function accessor_loop(scene)
  local item, take = add_item(scene.track, scene.path, 4, 5)
  reaper.SetMediaItemInfo_Value(item, "B_LOOPSRC", 1)
  return with_take_accessor(take, function(accessor)
    local second = read(accessor, 1, FILE_SECONDS + 0.5, 1)[1]
    local end_s = reaper.GetAudioAccessorEndTime(accessor)
    return string.format("end time %.9g of 5, second pass reads %.9g", end_s, second)
  end)
end

local function accessor_end(scene)
  local _, take = add_item(scene.track, scene.path, 10, 1)
  return with_take_accessor(take, function(accessor)
    local samples, answer = read(accessor, 1, 0.5, SAMPLE_RATE)
    local after = samples[FRAMES_BEFORE_END + 100]
    return string.format("answer %s, past the end stands %.9g", tostring(answer), after)
  end)
end

local function accessor_channels(scene)
  local _, take = add_item(scene.track, scene.path, 12, 1)
  return with_take_accessor(take, function(accessor)
    return "mono asked as 4: " .. numbers(table.unpack(read(accessor, 4, 0.1, 1)))
  end)
end

local function accessor_in_coroutine(scene)
  local _, take = add_item(scene.track, scene.path, 14, 1)
  return with_take_accessor(take, function(accessor)
    local answer
    coroutine.wrap(function()
      _, answer = read(accessor, 1, 0.1, 1)
    end)()
    return "answer " .. tostring(answer)
  end)
end

local function split_data(scene)
  local item, take = add_item(scene.track, scene.path, 16, 2)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_EXT:REAPAINT_TEST", "kept", true)
  reaper.SetTakeMarker(take, -1, "early", 0.5)
  reaper.SetTakeMarker(take, -1, "late", 1.5)
  local right = reaper.SplitMediaItem(item, 17)
  local right_take = reaper.GetActiveTake(right)
  local ext = project.ext(right_take, "REAPAINT_TEST")
  return string.format(
    "take data on the right: %q, markers left %d right %d, offset %.9g, selected %g, group %g",
    ext,
    reaper.GetNumTakeMarkers(take),
    reaper.GetNumTakeMarkers(right_take),
    project.offset(right_take),
    project.value(right, "B_UISEL"),
    project.value(right, "I_GROUPID")
  )
end

--- A volume envelope of two points, as it stands in an item's text.
local ENVELOPE = "<VOLENV\nACT 1 -1\nVIS 1 1 1\nPT 0 1 0\nPT 2 0.5 0\n>"

local function split_envelope(scene)
  local item, take = add_item(scene.track, scene.path, 24, 2)
  reaper.SetTakeStretchMarker(take, -1, 0)
  reaper.SetTakeStretchMarker(take, -1, 1.5)
  local body = project.text(item):match("^(.*)\n%s*>%s*$")
  local ok = reaper.SetItemStateChunk(item, body .. "\n" .. ENVELOPE .. "\n>\n", false)
  local right = reaper.SplitMediaItem(item, 25)
  local texts = {}
  for index, piece in ipairs({ item, right }) do
    local piece_take = reaper.GetActiveTake(piece)
    local envelope = reaper.GetTakeEnvelopeByName(piece_take, "Volume")
    local markers = reaper.GetTakeNumStretchMarkers(piece_take)
    local points = envelope and reaper.CountEnvelopePoints(envelope) or 0
    local value = envelope and select(2, reaper.Envelope_Evaluate(envelope, 0, 0, 0)) or 0
    texts[index] = string.format(
      "envelope points %d, first value %.9g, stretch markers %d",
      points,
      value,
      markers
    )
  end
  return string.format("set %s; left: %s; right: %s", tostring(ok), texts[1], texts[2])
end

local function split_crossfade(scene)
  local before = reaper.GetToggleCommandStateEx(0, AUTO_CROSSFADE_ON_SPLIT)
  if before == 0 then
    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, scene.proj)
  end
  local item = add_item(scene.track, scene.path, 20, 2)
  local right = reaper.SplitMediaItem(item, 21)
  if before == 0 then
    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, scene.proj)
  end
  local left_span, right_span = project.item_span(item), project.item_span(right)
  return string.format(
    "toggle was %d; left ends %.9g, right begins %.9g, automatic fades %.9g and %.9g",
    before,
    left_span.end_s,
    right_span.start_s,
    project.value(item, "D_FADEOUTLEN_AUTO"),
    project.value(right, "D_FADEINLEN_AUTO")
  )
end

local function fresh_source(scene)
  local source = reaper.PCM_Source_CreateFromFile(scene.path)
  local length = reaper.GetMediaSourceLength(source)
  local rate = reaper.GetMediaSourceSampleRate(source)
  local peaks = reaper.PCM_Source_BuildPeaks(source, 0)
  reaper.PCM_Source_Destroy(source)
  local _, device = reaper.GetAudioDeviceInfo("SRATE", "")
  local text = "length %.9g, rate %d, peaks to build %d, device rate %s"
  return text:format(length, rate, peaks, tostring(device))
end

local function overlapping_fades(scene)
  local track = scenes.add_track(scene.proj)
  local left = add_item(track, scene.path, 0, 1)
  local right = add_item(track, scene.path, 0.5, 1)
  reaper.SetMediaItemInfo_Value(left, "D_FADEOUTLEN", 0.5)
  reaper.SetMediaItemInfo_Value(left, "C_FADEOUTSHAPE", 0)
  reaper.SetMediaItemInfo_Value(right, "D_FADEINLEN", 0.5)
  reaper.SetMediaItemInfo_Value(right, "C_FADEINSHAPE", 0)
  local accessor = reaper.CreateTrackAudioAccessor(track)
  local samples = read(accessor, 1, 0.75, 1)
  reaper.DestroyAudioAccessor(accessor)
  return "two items of 0.5 with linear fades read in the middle " .. numbers(samples[1])
end

local function error_texts(scene)
  local texts = {}
  for _, call in ipairs({
    function()
      reaper.GetActiveTake(nil)
    end,
    function()
      reaper.GetMediaItemInfo_Value(reaper.GetMediaItem(scene.proj, 0))
    end,
    function()
      return reaper.new_array(2 ^ 22)
    end,
    function()
      return reaper.GetTrack(scene.proj, 0.5)
    end,
    function()
      return reaper.GetTrack(scene.proj, "first")
    end,
    function()
      return reaper.file_exists()
    end,
    function()
      return tostring(reaper.new_array(4)[0])
    end,
    function()
      return tostring(reaper.new_array(4)[5])
    end,
  }) do
    local ok, answer = pcall(call)
    texts[#texts + 1] = ok and "no error: " .. tostring(answer) or tostring(answer)
  end
  return table.concat(texts, " | ")
end

local function utf8_names(scene)
  local path = scenes.scratch_path(scene, "Möwe 音 «1».txt")
  os.remove(path)
  local ok, err = spool.write_new(path, "x")
  local seen = reaper.file_exists(path)
  local again = os.rename(path, path .. "2")
  os.remove(path .. "2")
  local text = "written %s, seen by REAPER %s, renamed %s %s"
  return text:format(tostring(ok), tostring(seen), tostring(again), err and err.message or "")
end

local function locking_toggle()
  local ok, text = reaper.get_config_var_string("projsellock")
  local state = reaper.GetToggleCommandStateEx(0, TOGGLE_LOCKING)
  return string.format("toggle %d, projsellock %s %s", state, tostring(ok), text)
end

local function available()
  local names = { "set_action_options", "set_config_var_string", "CF_GetMediaSourceOnline" }
  local texts = { _VERSION }
  for _, name in ipairs(names) do
    texts[#texts + 1] = name .. (reaper[name] and " yes" or " no")
  end
  return table.concat(texts, ", ")
end

local function item_text(scene)
  local item = add_item(scene.track, scene.path, 30, 1)
  local text = project.text(item)
  local ok = reaper.SetItemStateChunk(item, text, false)
  local same = project.text(item) == text
  local file = text:match('FILE ("[^"]*")') or text:match("FILE ([^\n]*)") or "none"
  return string.format("set %s, same text after %s, file written as %s", ok, same, file)
end

local CHECKS = {
  { "What is there", available },
  { "Accessor: item fades", accessor_fades },
  { "Accessor: volumes of item and take", accessor_volume },
  { "Accessor: take FX", accessor_fx },
  { "Accessor: looped item", accessor_loop },
  { "Accessor: past the end", accessor_end },
  { "Accessor: more channels than there are", accessor_channels },
  { "Accessor: inside a coroutine", accessor_in_coroutine },
  { "Split: data, markers, offset", split_data },
  { "Split: envelope, stretch markers", split_envelope },
  { "Split: automatic crossfade", split_crossfade },
  { "A fresh source", fresh_source },
  { "Manual fades where items overlap", overlapping_fades },
  { "Error texts", error_texts },
  { "Names in other letters", utf8_names },
  { "Locking", locking_toggle },
  { "An item's text", item_text },
}

---@param scene reapaint.Scene
---@return string[] lines of the report
function M.run(scene)
  local lines = {}
  for _, check in ipairs(CHECKS) do
    local ok, found = pcall(check[2], scene)
    local text = ok and tostring(found) or "FAILED: " .. tostring(found)
    lines[#lines + 1] = check[1] .. ": " .. text
  end
  return lines
end

return M
