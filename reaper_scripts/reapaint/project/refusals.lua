--- Why an item can't be painted.

local errors = require("reapaint.errors")
local reading = require("reapaint.project.reading")

local M = {}

local TOGGLE_LOCKING = 1135
local LOCKS_ITEMS = 2

--- Whether the project's locking is on and covers whole items.
local function are_items_locked()
  if reaper.GetToggleCommandStateEx(0, TOGGLE_LOCKING) ~= 1 then
    return false
  end
  local ok, text = reaper.get_config_var_string("projsellock")
  local flags = ok and math.tointeger(tonumber(text))
  return not flags or flags & LOCKS_ITEMS ~= 0
end

---@param item MediaItem
---@return boolean
local function is_locked(item)
  return math.floor(reaper.GetMediaItemInfo_Value(item, "C_LOCK")) & 1 ~= 0 or are_items_locked()
end
M.is_locked = is_locked

--- Whether REAPER saves the take's source as offline; without SWS no call says so.
local function is_offline(item, take, source)
  if reaper.CF_GetMediaSourceOnline then
    return not reaper.CF_GetMediaSourceOnline(source)
  end
  if reaper.GetMediaSourceType(source):find("OFFLINE", 1, true) then
    return true
  end
  local path = reaper.GetMediaSourceFileName(source)
  local name = path:match("[^/\\]+$")
  local ok, chunk = reaper.GetItemStateChunk(item, "", false)
  if not (ok and name) then
    return false
  end
  local _, take_start = chunk:find(reading.take_guid(take), 1, true)
  local source_line = take_start and chunk:match("<SOURCE [^\n]*", take_start)
  return source_line ~= nil and source_line:find("_OFFLINE_", 1, true) ~= nil
end

local REFUSED_TYPES = {
  MIDI = errors.new("midi_item", "This item holds MIDI.", "Render or freeze it to audio first."),
  EMPTY = errors.new("empty_item", "This item is empty.", "Select an item that holds a recording."),
}

local function refuse_source(item, take)
  local source = reaper.GetMediaItemTake_Source(take)
  local kind = source and reaper.GetMediaSourceType(source) or "EMPTY"
  local refused = reaper.TakeIsMIDI(take) and REFUSED_TYPES.MIDI or REFUSED_TYPES[kind]
  if refused then
    return refused
  elseif is_offline(item, take, source) then
    return errors.new("offline_item", "This item's media is offline.", "Set it online first.")
  elseif reaper.GetMediaSourceNumChannels(source) < 1 then
    local what = kind == "RPP_PROJECT" and "This subproject holds no sound."
      or "This item's media holds no sound."
    return errors.new("silent_source", what, "Select an item that holds a recording.")
  end
  return nil
end

--- Why an item can't be painted, if so.
---@param proj ReaProject
---@param item MediaItem
---@return reapaint.Error?
function M.refusal(proj, item)
  if reading.is_recording(proj) then
    return errors.recording()
  elseif is_locked(item) then
    return errors.locked_item()
  end
  local take = reading.active_take(item)
  if not take then
    return REFUSED_TYPES.EMPTY
  end
  if reaper.GetMediaItemInfo_Value(item, "B_ALLTAKESPLAY") ~= 0 then
    return errors.new(
      "plays_all_takes",
      "This item plays all its takes at once, and would play the new one over the old.",
      "Turn that off in its properties first."
    )
  end
  return refuse_source(item, take)
end

return M
