--- The one door to the open project: what is in it, and how it is changed.
---
--- Items and takes are pointers that die with every undo; whoever waits keeps GUIDs and comes
--- back through `find_take`.

local errors = require("reapaint.errors")
local geometry = require("reapaint.geometry")

local M = {}

local AUTO_CROSSFADE_ON_SPLIT = 40912
local CROP_TO_ACTIVE_TAKE = 40131
local DELETE_ACTIVE_TAKE = 40129
local HEAL_SPLITS = 40548
local TOGGLE_LOCKING = 1135
local LOCKS_ITEMS = 2
local UNDO_TRACKS = 1
local UNDO_ITEMS = 4
local FIXED_LANES = 2
local FREE_POSITIONING = 1
local RECORDING = 4
local MONO_MODES = { [2] = true, [3] = true, [4] = true }

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

local function take_value(take, key)
  return reaper.GetMediaItemTakeInfo_Value(take, key)
end

-- Projects

---@return ReaProject project, string path "" while it was never saved
function M.current()
  return reaper.EnumProjects(-1)
end

---@param project ReaProject
---@return boolean
function M.is_current(project)
  return (reaper.EnumProjects(-1)) == project
end

---@param project ReaProject
---@return string
function M.media_folder(project)
  return reaper.GetProjectPathEx(project)
end

---@param project ReaProject
---@return string
function M.name(project)
  return reaper.GetProjectName(project)
end

---@param project ReaProject
---@return boolean
function M.is_recording(project)
  return reaper.GetPlayStateEx(project) & RECORDING ~= 0
end

--- The rate the project plays at, on whose samples items are cut.
---@param project ReaProject
---@return number
function M.sample_rate(project)
  if reaper.GetSetProjectInfo(project, "PROJECT_SRATE_USE", 0, false) ~= 0 then
    return reaper.GetSetProjectInfo(project, "PROJECT_SRATE", 0, false)
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

---@param project ReaProject
---@return reapaint.Span?
function M.time_selection(project)
  local start_s, end_s = reaper.GetSet_LoopTimeRange2(project, false, false, 0, 0, false)
  if end_s <= start_s then
    return nil
  end
  return { start_s = start_s, end_s = end_s }
end

---@param project ReaProject
---@return { track: MediaTrack, spans: reapaint.Span[] }[]
function M.razor_areas(project)
  local areas = {}
  for index = 0, reaper.CountTracks(project) - 1 do
    local track = reaper.GetTrack(project, index)
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

---@param project ReaProject
---@return MediaItem[]
function M.selected_items(project)
  local items = {}
  for index = 0, reaper.CountSelectedMediaItems(project) - 1 do
    items[#items + 1] = reaper.GetSelectedMediaItem(project, index)
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
  return reaper.GetMediaTrackInfo_Value(track, "I_FREEMODE") ~= FIXED_LANES
    or reaper.GetMediaItemInfo_Value(item, "C_LANEPLAYS") ~= 0
end

--- The items of a track that are heard in a span; of those that overlap there, the last.
---@param track MediaTrack
---@param span reapaint.Span
---@return MediaItem[]
function M.heard_items(track, span)
  local items = {}
  for _, item in ipairs(M.track_items(track)) do
    local covered = geometry.overlap(M.item_span(item), span)
    if covered and is_heard(track, item) then
      local last = items[#items]
      if last and geometry.overlap(M.item_span(last), covered) then
        items[#items] = nil
      end
      items[#items + 1] = item
    end
  end
  return items
end

--- The items to act on in a span when none is selected: those of the one track it can mean.
---@param project ReaProject
---@param span reapaint.Span
---@return MediaItem[]
function M.implied_items(project, span)
  local found
  for only_selected = 1, 0, -1 do
    found = {}
    local tracks = 0
    for index = 0, reaper.CountTracks(project) - 1 do
      local track = reaper.GetTrack(project, index)
      local counts = only_selected == 0
        or reaper.GetMediaTrackInfo_Value(track, "I_SELECTED") ~= 0
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
local function item_guid(item)
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
    item = item_guid(item),
    take = M.take_guid(take),
    position = reaper.GetMediaItemInfo_Value(item, "D_POSITION"),
    length = reaper.GetMediaItemInfo_Value(item, "D_LENGTH"),
    offset = take_value(take, "D_STARTOFFS"),
    rate = take_value(take, "D_PLAYRATE"),
    pitch = take_value(take, "D_PITCH"),
    channel_mode = math.floor(take_value(take, "I_CHANMODE")),
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
---@param project ReaProject?
---@return MediaItem_Take?, ReaProject?
function M.find_take(guid, project)
  if project then
    if not reaper.ValidatePtr(project, "ReaProject*") then
      return nil
    end
    return reaper.GetMediaItemTakeByGUID(project, guid), project
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

--- Whether a take plays its file as it is: nothing between its samples and what is heard but
--- what stays on the take.
---@param take MediaItem_Take
---@return boolean
function M.plays_plainly(take)
  return take_value(take, "D_PLAYRATE") == 1
    and take_value(take, "D_PITCH") == 0
    and take_value(take, "I_CHANMODE") == 0
    and take_value(take, "IP_SPECEDIT:CNT") == 0
    and reaper.GetTakeNumStretchMarkers(take) == 0
    and reaper.GetTakeEnvelopeByName(take, "Pitch") == nil
end

--- How many channels a take gives: its source's, less where its channel mode picks some.
---@param take MediaItem_Take
---@param source_channels integer
---@return integer
function M.heard_channels(take, source_channels)
  local mode = math.floor(take_value(take, "I_CHANMODE"))
  if MONO_MODES[mode] or (mode >= 5 and mode <= 66) then
    return 1
  elseif mode >= 67 then
    return 2
  end
  return math.max(1, source_channels)
end

-- Refusals

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
  local _, take_start = chunk:find(M.take_guid(take), 1, true)
  local source_line = take_start and chunk:match("<SOURCE [^\n]*", take_start)
  return source_line ~= nil and source_line:find("_OFFLINE_", 1, true) ~= nil
end

local REFUSED_TYPES = {
  MIDI = { "midi_item", "This item holds MIDI.", "Render or freeze it to audio first." },
  EMPTY = { "empty_item", "This item is empty.", "Select an item that holds a recording." },
}

local function refuse_source(item, take)
  local source = reaper.GetMediaItemTake_Source(take)
  local kind = source and reaper.GetMediaSourceType(source) or "EMPTY"
  local refused = reaper.TakeIsMIDI(take) and REFUSED_TYPES.MIDI or REFUSED_TYPES[kind]
  if refused then
    return errors.new(refused[1], refused[2], refused[3])
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
---@param project ReaProject
---@param item MediaItem
---@return reapaint.Error?
function M.refusal(project, item)
  if M.is_recording(project) then
    return errors.new("recording", "REAPER is recording.", "Stop recording first.")
  elseif is_locked(item) then
    return errors.new("locked_item", "This item is locked.", "Unlock it first.")
  end
  local take = M.active_take(item)
  if not take then
    return errors.new(table.unpack(REFUSED_TYPES.EMPTY))
  end
  return refuse_source(item, take)
end

-- Changes

--- Make one undo point of what `change` does, or leave the project as it was.
---
--- Cuts made inside must not grow crossfades of REAPER's own, whose length hangs on the zoom.
---@param project ReaProject
---@param label string
---@param change fun(): any
---@return any result nil after an error
---@return string? problem
function M.edit(project, label, change)
  local crossfades = reaper.GetToggleCommandStateEx(0, AUTO_CROSSFADE_ON_SPLIT) == 1
  if crossfades then
    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, project)
  end
  reaper.PreventUIRefresh(1)
  reaper.Undo_BeginBlock2(project)
  local ok, result = xpcall(change, debug.traceback)
  reaper.Undo_EndBlock2(project, label, UNDO_TRACKS | UNDO_ITEMS)
  if not ok and reaper.Undo_CanUndo2(project) == label then
    reaper.Undo_DoUndo2(project)
  end
  reaper.PreventUIRefresh(-1)
  if crossfades then
    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, project)
  end
  reaper.UpdateArrange()
  if not ok then
    return nil, result
  end
  return result
end

local EDGE_KEYS = {
  IN = { "D_FADEINLEN", "D_FADEINLEN_AUTO", "C_FADEINSHAPE", "D_FADEINDIR" },
  OUT = { "D_FADEOUTLEN", "D_FADEOUTLEN_AUTO", "C_FADEOUTSHAPE", "D_FADEOUTDIR" },
}
local NO_FADE = { 0, -1, 0, 0 }

---@param item MediaItem
---@param edge "IN"|"OUT"
---@return number[]
function M.fade(item, edge)
  local values = {}
  for index, key in ipairs(EDGE_KEYS[edge]) do
    values[index] = reaper.GetMediaItemInfo_Value(item, key)
  end
  return values
end

---@param item MediaItem
---@param edge "IN"|"OUT"
---@param values number[]? none by default: a join where both sides hold the same sound
function M.set_fade(item, edge, values)
  values = values or NO_FADE
  for index, key in ipairs(EDGE_KEYS[edge]) do
    reaper.SetMediaItemInfo_Value(item, key, values[index])
  end
end

---@param item MediaItem
---@param key string
---@return number
function M.value(item, key)
  return reaper.GetMediaItemInfo_Value(item, key)
end

---@param item MediaItem
---@param key string
---@param value number
function M.set_value(item, key, value)
  if reaper.GetMediaItemInfo_Value(item, key) ~= value then
    reaper.SetMediaItemInfo_Value(item, key, value)
  end
end

local KEPT = { "I_GROUPID", "I_CUSTOMCOLOR", "B_UISEL", "B_MUTE", "D_VOL", "C_BEATATTACHMODE" }

local function keep_looks(left, right)
  for _, key in ipairs(KEPT) do
    M.set_value(right, key, M.value(left, key))
  end
  local mode = reaper.GetMediaTrackInfo_Value(reaper.GetMediaItem_Track(left), "I_FREEMODE")
  if mode == FIXED_LANES then
    -- On another track setting a lane would make it one with lanes.
    M.set_value(right, "I_FIXEDLANE", M.value(left, "I_FIXEDLANE"))
  elseif mode == FREE_POSITIONING then
    M.set_value(right, "F_FREEMODE_Y", M.value(left, "F_FREEMODE_Y"))
    M.set_value(right, "F_FREEMODE_H", M.value(left, "F_FREEMODE_H"))
  end
end

--- Lay the joined edges of two parts side by side, whatever the split made of them.
local function square_cut(left, right, at_s)
  M.set_value(left, "D_LENGTH", at_s - M.value(left, "D_POSITION"))
  local early_s = at_s - M.value(right, "D_POSITION")
  if early_s ~= 0 then
    for _, take in ipairs(M.takes(right)) do
      local offset = take_value(take, "D_STARTOFFS") + early_s * take_value(take, "D_PLAYRATE")
      reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", offset)
    end
    M.set_value(right, "D_LENGTH", M.value(right, "D_LENGTH") - early_s)
    M.set_value(right, "D_POSITION", at_s)
  end
  M.set_fade(left, "OUT")
  M.set_fade(right, "IN")
end

--- Cut an item; its snap offset goes to the piece it lies in.
---@param item MediaItem the left piece from now on
---@param at_s number
---@return MediaItem right
function M.cut(item, at_s)
  local snap = M.value(item, "D_SNAPOFFSET")
  local right = reaper.SplitMediaItem(item, at_s)
  if not right then
    error(string.format("REAPER did not split the item at %.17g s", at_s))
  end
  keep_looks(item, right)
  square_cut(item, right, at_s)
  local left_length = M.value(item, "D_LENGTH")
  M.set_value(item, "D_SNAPOFFSET", snap <= left_length and snap or 0)
  M.set_value(right, "D_SNAPOFFSET", snap > left_length and snap - left_length or 0)
  return right
end

--- Forget a cut: the left piece takes up the right one's room and its outer edge.
---@param left MediaItem
---@param right MediaItem
function M.join(left, right)
  local left_length = M.value(left, "D_LENGTH")
  local snap = M.value(right, "D_SNAPOFFSET")
  local fade_out = M.fade(right, "OUT")
  local end_s = M.item_span(right).end_s
  reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(right), right)
  M.set_value(left, "D_LENGTH", end_s - M.value(left, "D_POSITION"))
  M.set_fade(left, "OUT", fade_out)
  if snap > 0 then
    M.set_value(left, "D_SNAPOFFSET", left_length + snap)
  end
end

---@param item MediaItem
function M.delete_item(item)
  reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(item), item)
end

local COPIED_TAKE_KEYS = { "D_VOL", "D_PAN", "D_PANLAW", "I_CUSTOMCOLOR", "B_PPITCH", "I_PITCHMODE" }

--- Add a take that plays a file as it is, with everything of `like` that its sound lacks.
---
--- Volume keeps its sign, which turns the polarity. Volume, pan and envelopes of a take act
--- after its source, and so must stand on the new one too.
---@param item MediaItem
---@param like MediaItem_Take
---@param source PCM_source owned by the take from here on
---@param new { name: string, offset: number, ext: table<string, string> }
---@return MediaItem_Take
function M.add_take(item, like, source, new)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, source)
  local set = reaper.SetMediaItemTakeInfo_Value
  for _, key in ipairs(COPIED_TAKE_KEYS) do
    set(take, key, take_value(like, key))
  end
  set(take, "D_PLAYRATE", 1)
  set(take, "D_PITCH", 0)
  set(take, "I_CHANMODE", 0)
  set(take, "D_STARTOFFS", new.offset)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", new.name, true)
  for key, text in pairs(new.ext) do
    reaper.GetSetMediaItemTakeInfo_String(take, "P_EXT:" .. key, text, true)
  end
  for index = 0, reaper.TakeFX_GetCount(like) - 1 do
    reaper.TakeFX_CopyToTake(like, index, take, index, false)
  end
  return take
end

local COPIED_ENVELOPES = { "Volume", "Pan", "Mute" }

local function envelope_chunks(take)
  local rate, chunks = take_value(take, "D_PLAYRATE"), {}
  for _, name in ipairs(COPIED_ENVELOPES) do
    local envelope = reaper.GetTakeEnvelopeByName(take, name)
    local ok, chunk
    if envelope then
      ok, chunk = reaper.GetEnvelopeStateChunk(envelope, "", false)
    end
    if ok then
      -- A copy gets a GUID of its own; its points count time as the take plays, at rate 1.
      chunk = chunk:gsub("EGUID [^\n]*\n", ""):gsub("(\n%s*PT )(%S+)", function(head, time)
        return head .. string.format("%.17g", (tonumber(time) or 0) / rate)
      end)
      chunks[#chunks + 1] = (chunk:gsub("%s+$", ""))
    end
  end
  return chunks
end

--- Give the last take of an item the envelopes of another.
---
--- Only an item's text can make an envelope; the last take's text ends the item's. Handles of
--- takes may die here.
---@param item MediaItem
---@param like MediaItem_Take
function M.copy_envelopes_to_last(item, like)
  local envelopes = envelope_chunks(like)
  if #envelopes == 0 then
    return
  end
  local ok, chunk = reaper.GetItemStateChunk(item, "", false)
  local body = ok and chunk:match("^(.*)\n%s*>%s*$")
  if body then
    reaper.SetItemStateChunk(item, body .. "\n" .. table.concat(envelopes, "\n") .. "\n>\n", false)
  end
end

---@param take MediaItem_Take
function M.activate(take)
  reaper.SetActiveTake(take)
end

--- Redraw an item after changes.
---@param item MediaItem
function M.refresh(item)
  reaper.UpdateItemInProject(item)
end

--- Run an action that acts on the selected items on these alone.
local function run_on(project, items, action)
  local selected = M.selected_items(project)
  for _, item in ipairs(selected) do
    M.set_value(item, "B_UISEL", 0)
  end
  for _, item in ipairs(items) do
    M.set_value(item, "B_UISEL", 1)
  end
  reaper.Main_OnCommandEx(action, 0, project)
  for _, item in ipairs(M.selected_items(project)) do
    M.set_value(item, "B_UISEL", 0)
  end
  for _, item in ipairs(selected) do
    if reaper.ValidatePtr2(project, item, "MediaItem*") then
      M.set_value(item, "B_UISEL", 1)
    end
  end
end

--- Drop all takes of an item but the active one.
---@param project ReaProject
---@param item MediaItem
function M.crop_to_active_take(project, item)
  run_on(project, { item }, CROP_TO_ACTIVE_TAKE)
end

---@param project ReaProject
---@param take MediaItem_Take
function M.delete_take(project, take)
  local item = M.item_of(take)
  reaper.SetActiveTake(take)
  run_on(project, { item }, DELETE_ACTIVE_TAKE)
end

--- Let REAPER itself heal cuts, where takes carry more than a source.
---@param project ReaProject
---@param items MediaItem[]
function M.heal(project, items)
  run_on(project, items, HEAL_SPLITS)
end

--- A new item that holds a file, on a new track below the others.
---@param project ReaProject
---@param span reapaint.Span
---@param source PCM_source
---@param new { name: string, offset: number, ext: table<string, string> }
---@return MediaItem
function M.add_item(project, span, source, new)
  local index = reaper.CountTracks(project)
  reaper.InsertTrackAtIndex(index, false)
  local track = reaper.GetTrack(project, index)
  reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "ReaPaint", true)
  local item = reaper.AddMediaItemToTrack(track)
  -- An item made by a script gets the loop flag and short fades.
  M.set_value(item, "B_LOOPSRC", 0)
  M.set_fade(item, "IN")
  M.set_fade(item, "OUT")
  M.set_value(item, "D_LENGTH", span.end_s - span.start_s)
  M.set_value(item, "D_POSITION", span.start_s)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, source)
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", new.offset)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", new.name, true)
  for key, text in pairs(new.ext) do
    reaper.GetSetMediaItemTakeInfo_String(take, "P_EXT:" .. key, text, true)
  end
  return item
end

return M
