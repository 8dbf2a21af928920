--- What is in a project: its items, takes, selections and the facts that jobs depend on.
---
--- Items and takes are pointers that die with every undo; whoever waits keeps GUIDs and comes
--- back through `find_take`.

local geometry = require("reapaint.geometry")

local M = {}

--- A track's I_FREEMODE where its items lie in lanes of a fixed number.
M.FIXED_LANES = 2
local RECORDING_FLAG = 4
local MONO_MODES = { [2] = true, [3] = true, [4] = true }
local MAX_NEIGHBOURS = 4

---@class reapaint.Facts what a job depends on; all of it must still hold when its result comes
---@field item string GUID
---@field take string GUID
---@field position number
---@field length number
---@field offset number
---@field rate number
---@field pitch number
---@field channel_mode integer
---@field loops boolean
---@field stretch_markers integer
---@field source string path of the file, "" where there is none

local FACTS = {
  "item",
  "take",
  "position",
  "length",
  "offset",
  "rate",
  "pitch",
  "channel_mode",
  "loops",
  "stretch_markers",
  "source",
}

---@param take MediaItem_Take
---@param key string
---@return number
function M.take_value(take, key)
  return reaper.GetMediaItemTakeInfo_Value(take, key)
end

-- Projects

---@return ReaProject proj, string path "" while it was never saved
function M.current()
  return reaper.EnumProjects(-1)
end

---@param proj ReaProject
---@return boolean
function M.is_current(proj)
  return (reaper.EnumProjects(-1)) == proj
end

---@param proj ReaProject
---@return boolean
function M.is_open(proj)
  return reaper.ValidatePtr(proj, "ReaProject*")
end

---@param proj ReaProject
---@return string
function M.media_folder(proj)
  return reaper.GetProjectPathEx(proj)
end

---@param proj ReaProject
---@return string
function M.name(proj)
  return reaper.GetProjectName(proj)
end

---@param proj ReaProject
---@return boolean
function M.is_recording(proj)
  return reaper.GetPlayStateEx(proj) & RECORDING_FLAG ~= 0
end

--- The rate the project plays at, on whose samples items are cut.
---@param proj ReaProject
---@return number
function M.sample_rate(proj)
  if reaper.GetSetProjectInfo(proj, "PROJECT_SRATE_USE", 0, false) ~= 0 then
    return reaper.GetSetProjectInfo(proj, "PROJECT_SRATE", 0, false)
  end
  local ok, text = reaper.GetAudioDeviceInfo("SRATE", "")
  local rate = ok and tonumber(text)
  if rate and rate > 0 then
    return rate
  end
  -- With the device closed only the length of one sample tells.
  local sample = reaper.parse_timestr_len("1", 0, 4)
  return sample > 0 and math.floor(1 / sample + 0.5) or 48000
end

---@param proj ReaProject
---@return reapaint.Span?
function M.time_selection(proj)
  local start_s, end_s = reaper.GetSet_LoopTimeRange2(proj, false, false, 0, 0, false)
  if end_s <= start_s then
    return nil
  end
  return { start_s = start_s, end_s = end_s }
end

---@param proj ReaProject
---@return { track: MediaTrack, spans: reapaint.Span[] }[]
function M.razor_areas(proj)
  local areas = {}
  for index = 0, reaper.CountTracks(proj) - 1 do
    local track = reaper.GetTrack(proj, index)
    local ok, text = reaper.GetSetMediaTrackInfo_String(track, "P_RAZOREDITS", "", false)
    local spans = ok and geometry.razor_spans(text) or {}
    if #spans > 0 then
      areas[#areas + 1] = { track = track, spans = spans }
    end
  end
  return areas
end

-- Items and takes

---@param item MediaItem
---@return reapaint.Span
function M.item_span(item)
  local position = reaper.GetMediaItemInfo_Value(item, "D_POSITION")
  return {
    start_s = position,
    end_s = position + reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
  }
end

---@param proj ReaProject
---@return MediaItem[]
function M.selected_items(proj)
  local items = {}
  for index = 0, reaper.CountSelectedMediaItems(proj) - 1 do
    items[#items + 1] = reaper.GetSelectedMediaItem(proj, index)
  end
  return items
end

---@param track MediaTrack
---@return MediaItem[]
function M.track_items(track)
  local items = {}
  for index = 0, reaper.CountTrackMediaItems(track) - 1 do
    items[#items + 1] = reaper.GetTrackMediaItem(track, index)
  end
  return items
end

local function is_heard(track, item)
  return reaper.GetMediaTrackInfo_Value(track, "I_FREEMODE") ~= M.FIXED_LANES
    or reaper.GetMediaItemInfo_Value(item, "C_LANEPLAYS") ~= 0
end

--- The items of a track that are heard in a span. One that lies under the next there is not
--- meant; two that share a crossfade both are.
---@param track MediaTrack
---@param span reapaint.Span
---@return MediaItem[]
function M.heard_items(track, span)
  local items = {}
  for _, item in ipairs(M.track_items(track)) do
    local covered = geometry.overlap(M.item_span(item), span)
    if covered and is_heard(track, item) then
      local last = items[#items]
      local below = last and geometry.overlap(M.item_span(last), span)
      if below and covered.start_s <= below.start_s and covered.end_s >= below.end_s then
        items[#items] = nil
      end
      items[#items + 1] = item
    end
  end
  return items
end

--- The items to act on in a span when none is selected: those of the one track it can mean.
---@param proj ReaProject
---@param span reapaint.Span
---@return MediaItem[]
function M.implied_items(proj, span)
  local found
  for only_selected = 1, 0, -1 do
    found = {}
    local tracks = 0
    for index = 0, reaper.CountTracks(proj) - 1 do
      local track = reaper.GetTrack(proj, index)
      local counts = only_selected == 0 or reaper.GetMediaTrackInfo_Value(track, "I_SELECTED") ~= 0
      local items = counts and M.heard_items(track, span) or {}
      tracks = tracks + (#items > 0 and 1 or 0)
      table.move(items, 1, #items, #found + 1, found)
    end
    if tracks == 1 or only_selected == 1 and tracks > 1 then
      return found
    end
  end
  return {}
end

---@param item MediaItem
---@return string
function M.item_guid(item)
  local _, guid = reaper.GetSetMediaItemInfo_String(item, "GUID", "", false)
  return guid
end

---@param take MediaItem_Take
---@return string
function M.take_guid(take)
  local _, guid = reaper.GetSetMediaItemTakeInfo_String(take, "GUID", "", false)
  return guid
end

---@param take MediaItem_Take
---@return string
function M.take_name(take)
  local _, name = reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", "", false)
  return name or ""
end

--- The takes of an item; empty take lanes are left out.
---@param item MediaItem
---@return MediaItem_Take[]
function M.takes(item)
  local takes = {}
  for index = 0, reaper.CountTakes(item) - 1 do
    takes[#takes + 1] = reaper.GetMediaItemTake(item, index)
  end
  return takes
end

---@param item MediaItem
---@return MediaItem_Take?
function M.active_take(item)
  return reaper.GetActiveTake(item)
end

---@param take MediaItem_Take
---@return MediaItem
function M.item_of(take)
  return reaper.GetMediaItemTake_Item(take)
end

--- The file behind a take; "" where a section, a subproject or nothing is.
---@param take MediaItem_Take
---@return string
function M.source_path(take)
  local source = reaper.GetMediaItemTake_Source(take)
  return source and reaper.GetMediaSourceFileName(source) or ""
end

---@param item MediaItem
---@param take MediaItem_Take
---@return reapaint.Facts
function M.facts(item, take)
  return {
    item = M.item_guid(item),
    take = M.take_guid(take),
    position = reaper.GetMediaItemInfo_Value(item, "D_POSITION"),
    length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
    offset = M.take_value(take, "D_STARTOFFS"),
    rate = M.take_value(take, "D_PLAYRATE"),
    pitch = M.take_value(take, "D_PITCH"),
    channel_mode = math.floor(M.take_value(take, "I_CHANMODE")),
    loops = reaper.GetMediaItemInfo_Value(item, "B_LOOPSRC") ~= 0,
    stretch_markers = reaper.GetTakeNumStretchMarkers(take),
    source = M.source_path(take),
  }
end

---@param a reapaint.Facts
---@param b reapaint.Facts
---@return boolean
function M.same_facts(a, b)
  for _, key in ipairs(FACTS) do
    if a[key] ~= b[key] then
      return false
    end
  end
  return true
end

local function fade_s(item, edge)
  local automatic = reaper.GetMediaItemInfo_Value(item, "D_FADE" .. edge .. "LEN_AUTO")
  if automatic > 0 then
    return automatic
  end
  return reaper.GetMediaItemInfo_Value(item, "D_FADE" .. edge .. "LEN")
end

--- Where an item lies and how far its fades reach, for `geometry.parts`.
---@param item MediaItem
function M.shape(item)
  return {
    position = reaper.GetMediaItemInfo_Value(item, "D_POSITION"),
    length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
    fade_in_s = fade_s(item, "IN"),
    fade_out_s = fade_s(item, "OUT"),
  }
end

--- A take by its GUID, in whichever open project it is; the one in front comes first.
---@param guid string
---@param proj ReaProject?
---@return MediaItem_Take?, ReaProject?
function M.find_take(guid, proj)
  if proj then
    if not M.is_open(proj) then
      return nil
    end
    return reaper.GetMediaItemTakeByGUID(proj, guid), proj
  end
  local index = -1
  while true do
    local candidate = reaper.EnumProjects(index)
    if not candidate then
      return nil
    end
    local take = reaper.GetMediaItemTakeByGUID(candidate, guid)
    if take then
      return take, candidate
    end
    index = index + 1
  end
end

--- What was stored with a take.
---@param take MediaItem_Take
---@param key string
---@return string text "" where there is none
function M.ext(take, key)
  local _, text = reaper.GetSetMediaItemTakeInfo_String(take, "P_EXT:" .. key, "", false)
  return text or ""
end

--- What was stored with an item.
---@param item MediaItem
---@param key string
---@return string text "" where there is none
function M.item_ext(item, key)
  local _, text = reaper.GetSetMediaItemInfo_String(item, "P_EXT:" .. key, "", false)
  return text or ""
end

--- All of an item as REAPER would save it.
---@param item MediaItem
---@return string
function M.text(item)
  local ok, text = reaper.GetItemStateChunk(item, "", false)
  return ok and text or ""
end

--- Whether a take plays its file as it is: nothing between its samples and what is heard but
--- what stays on the take.
---@param take MediaItem_Take
---@return boolean
function M.plays_plainly(take)
  return M.take_value(take, "D_PLAYRATE") == 1
    and M.take_value(take, "D_PITCH") == 0
    and M.take_value(take, "I_CHANMODE") == 0
    and M.take_value(take, "IP_SPECEDIT:CNT") == 0
    and reaper.GetTakeNumStretchMarkers(take) == 0
    and reaper.GetTakeEnvelopeByName(take, "Pitch") == nil
end

--- How many channels a take gives: its source's, less where its channel mode picks some.
---@param take MediaItem_Take
---@param source_channels integer
---@return integer
function M.heard_channels(take, source_channels)
  local mode = math.floor(M.take_value(take, "I_CHANMODE"))
  if MONO_MODES[mode] or (mode >= 5 and mode <= 66) then
    return 1
  elseif mode >= 67 then
    return 2
  end
  return math.max(1, source_channels)
end

---@param take MediaItem_Take
---@return number
function M.offset(take)
  return M.take_value(take, "D_STARTOFFS")
end

---@param item MediaItem
---@param key string
---@return number
function M.value(item, key)
  return reaper.GetMediaItemInfo_Value(item, key)
end

--- The next items of the same track and lane on one side, the nearest in order first.
---@param item MediaItem
---@param direction -1|1
---@return MediaItem[]
function M.neighbours(item, direction)
  local track = reaper.GetMediaItem_Track(item)
  local lane = M.value(item, "I_FIXEDLANE")
  local index = math.floor(M.value(item, "IP_ITEMNUMBER"))
  local found = {}
  for _ = 1, MAX_NEIGHBOURS do
    index = index + direction
    local other = index >= 0 and reaper.GetTrackMediaItem(track, index)
    if not other then
      break
    end
    if M.value(other, "I_FIXEDLANE") == lane then
      found[#found + 1] = other
    end
  end
  return found
end

--- Whether every take of an item goes on in the next one, as a cut leaves them.
---@param left MediaItem
---@param right MediaItem
---@return boolean
function M.goes_on(left, right)
  local left_takes, right_takes = M.takes(left), M.takes(right)
  local length = M.value(left, "D_LENGTH")
  for index, take in ipairs(left_takes) do
    local next_take = right_takes[index]
    if not next_take or M.source_path(take) ~= M.source_path(next_take) then
      return false
    end
    local expected = M.offset(take) + length * M.take_value(take, "D_PLAYRATE")
    local gap = M.offset(next_take) - expected
    local source = reaper.GetMediaItemTake_Source(take)
    local pass = source and reaper.GetMediaSourceLength(source) or 0
    if M.value(left, "B_LOOPSRC") ~= 0 and pass > 0 then
      -- A cut of a looped item may count from the pass it lies in.
      gap = gap - pass * math.floor(gap / pass + 0.5)
    end
    if math.abs(gap) > geometry.EDGE_TOLERANCE_S then
      return false
    end
  end
  return #left_takes == #right_takes
end

--- Whether a cut through an item divides nothing but sound: no envelopes, no markers.
---@param item MediaItem
---@return boolean
function M.is_plain_cut(item)
  for _, take in ipairs(M.takes(item)) do
    if
      reaper.CountTakeEnvelopes(take) > 0
      or reaper.GetTakeNumStretchMarkers(take) > 0
      or reaper.GetNumTakeMarkers(take) > 0
    then
      return false
    end
  end
  return true
end

return M
