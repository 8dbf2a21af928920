--- How a project is changed: every change inside `edit`, which makes one undo point of it.

local reading = require("reapaint.project.reading")

local M = {}

local AUTO_CROSSFADE_ON_SPLIT = 40912
local CROP_TO_ACTIVE_TAKE = 40131
local DELETE_ACTIVE_TAKE = 40129
local HEAL_SPLITS = 40548
local UNDO_TRACKS = 1
local UNDO_ITEMS = 4
local EDIT_UNDO_FLAGS = UNDO_TRACKS | UNDO_ITEMS
local FREE_POSITIONING = 1

local TAKEN_BACK_LABEL = "ReaPaint: nothing"

--- Take back what a failed change left. What puts everything back as it was leaves no trace: a
--- block without a change adds no undo point. REAPER's own undo, the other way, would leave an
--- entry to redo.
local function take_back(proj, put_back)
  local ok, is_as_before = pcall(put_back or error)
  reaper.Undo_EndBlock2(proj, TAKEN_BACK_LABEL, ok and is_as_before and 0 or EDIT_UNDO_FLAGS)
  if reaper.Undo_CanUndo2(proj) == TAKEN_BACK_LABEL then
    reaper.Undo_DoUndo2(proj)
  end
end

--- Make one undo point of what `change` does, or leave the project as it was.
---
--- Cuts made inside must not grow crossfades of REAPER's own, whose length hangs on the zoom.
---@param proj ReaProject
---@param label string
---@param change fun(): any
---@param put_back (fun(): boolean)? after an error; whether all is as before
---@return any result nil after an error
---@return string? problem
function M.edit(proj, label, change, put_back)
  local crossfades = reaper.GetToggleCommandStateEx(0, AUTO_CROSSFADE_ON_SPLIT) == 1
  if crossfades then
    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, proj)
  end
  reaper.PreventUIRefresh(1)
  reaper.Undo_BeginBlock2(proj)
  local ok, result = xpcall(change, debug.traceback)
  if ok then
    reaper.Undo_EndBlock2(proj, label, EDIT_UNDO_FLAGS)
  else
    take_back(proj, put_back)
  end
  reaper.PreventUIRefresh(-1)
  if crossfades then
    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, proj)
  end
  reaper.UpdateArrange()
  if not ok then
    return nil, result
  end
  return result
end

--- Remember an item, to put back what it was before it was cut.
---@param item MediaItem
---@return fun(): boolean
function M.remember(item)
  local track, text, known = reaper.GetMediaItem_Track(item), reading.text(item), {}
  for _, other in ipairs(reading.track_items(track)) do
    known[reading.item_guid(other)] = true
  end
  return function()
    for _, other in ipairs(reading.track_items(track)) do
      if not known[reading.item_guid(other)] then
        reaper.DeleteTrackMediaItem(track, other)
      end
    end
    return reaper.SetItemStateChunk(item, text, false) and reading.text(item) == text
  end
end

--- Remember how many tracks there are, to remove those that are added below them.
---@param proj ReaProject
---@return fun(): boolean
function M.remember_tracks(proj)
  local count = reaper.CountTracks(proj)
  return function()
    for index = reaper.CountTracks(proj) - 1, count, -1 do
      reaper.DeleteTrack(reaper.GetTrack(proj, index))
    end
    return reaper.CountTracks(proj) == count
  end
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
---@param value number
function M.set_value(item, key, value)
  if reaper.GetMediaItemInfo_Value(item, key) ~= value then
    reaper.SetMediaItemInfo_Value(item, key, value)
  end
end

local KEPT_ITEM_KEYS = {
  "I_GROUPID",
  "I_CUSTOMCOLOR",
  "B_UISEL",
  "B_MUTE",
  "D_VOL",
  "C_BEATATTACHMODE",
}

local function keep_looks(left, right)
  for _, key in ipairs(KEPT_ITEM_KEYS) do
    M.set_value(right, key, reading.value(left, key))
  end
  local _, notes = reaper.GetSetMediaItemInfo_String(left, "P_NOTES", "", false)
  if notes ~= "" then
    reaper.GetSetMediaItemInfo_String(right, "P_NOTES", notes, true)
  end
  local mode = reaper.GetMediaTrackInfo_Value(reaper.GetMediaItem_Track(left), "I_FREEMODE")
  if mode == reading.FIXED_LANES then
    -- On another track setting a lane would make it one with lanes.
    M.set_value(right, "I_FIXEDLANE", reading.value(left, "I_FIXEDLANE"))
  elseif mode == FREE_POSITIONING then
    M.set_value(right, "F_FREEMODE_Y", reading.value(left, "F_FREEMODE_Y"))
    M.set_value(right, "F_FREEMODE_H", reading.value(left, "F_FREEMODE_H"))
  end
end

--- Lay the joined edges of two parts side by side, whatever the split made of them.
local function square_cut(left, right, at_s)
  M.set_value(left, "D_LENGTH", at_s - reading.value(left, "D_POSITION"))
  local early_s = at_s - reading.value(right, "D_POSITION")
  if early_s ~= 0 then
    for _, take in ipairs(reading.takes(right)) do
      local offset = reading.take_value(take, "D_STARTOFFS")
        + early_s * reading.take_value(take, "D_PLAYRATE")
      reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", offset)
    end
    M.set_value(right, "D_LENGTH", reading.value(right, "D_LENGTH") - early_s)
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
  local snap = reading.value(item, "D_SNAPOFFSET")
  local right = reaper.SplitMediaItem(item, at_s)
  if not right then
    error(string.format("REAPER did not split the item at %.17g s", at_s))
  end
  keep_looks(item, right)
  square_cut(item, right, at_s)
  local left_length = reading.value(item, "D_LENGTH")
  M.set_value(item, "D_SNAPOFFSET", snap <= left_length and snap or 0)
  M.set_value(right, "D_SNAPOFFSET", snap > left_length and snap - left_length or 0)
  return right
end

--- Forget a cut: the left piece takes up the right one's room and its outer edge.
---@param left MediaItem
---@param right MediaItem
function M.join(left, right)
  local left_length = reading.value(left, "D_LENGTH")
  local snap = reading.value(right, "D_SNAPOFFSET")
  local fade_out = M.fade(right, "OUT")
  local end_s = reading.item_span(right).end_s
  reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(right), right)
  M.set_value(left, "D_LENGTH", end_s - reading.value(left, "D_POSITION"))
  M.set_fade(left, "OUT", fade_out)
  if snap > 0 then
    M.set_value(left, "D_SNAPOFFSET", left_length + snap)
  end
end

---@param item MediaItem
function M.delete_item(item)
  reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(item), item)
end

---@param take MediaItem_Take
---@param new { name: string, ext: table<string, string> }
local function describe(take, new)
  reaper.GetSetMediaItemTakeInfo_String(take, "P_NAME", new.name, true)
  for key, text in pairs(new.ext) do
    reaper.GetSetMediaItemTakeInfo_String(take, "P_EXT:" .. key, text, true)
  end
end

local COPIED_TAKE_KEYS =
  { "D_VOL", "D_PAN", "D_PANLAW", "I_CUSTOMCOLOR", "B_PPITCH", "I_PITCHMODE" }

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
    set(take, key, reading.take_value(like, key))
  end
  set(take, "D_PLAYRATE", 1)
  set(take, "D_PITCH", 0)
  set(take, "I_CHANMODE", 0)
  set(take, "D_STARTOFFS", new.offset)
  describe(take, new)
  for index = 0, reaper.TakeFX_GetCount(like) - 1 do
    reaper.TakeFX_CopyToTake(like, index, take, index, false)
  end
  return take
end

local COPIED_ENVELOPES = { "Volume", "Pan", "Mute" }

local function envelope_chunks(take)
  local rate, chunks = reading.take_value(take, "D_PLAYRATE"), {}
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
  local body = reading.text(item):match("^(.*)\n%s*>%s*$")
  if body then
    M.set_text(item, body .. "\n" .. table.concat(envelopes, "\n") .. "\n>\n")
  end
end

---@param item MediaItem
---@param key string
---@param text string "" removes it
function M.set_item_ext(item, key, text)
  reaper.GetSetMediaItemInfo_String(item, "P_EXT:" .. key, text, true)
end

--- Make an item what a text says; handles of its takes die.
---@param item MediaItem
---@param text string
function M.set_text(item, text)
  reaper.SetItemStateChunk(item, text, false)
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
local function run_on(proj, items, action)
  local selected = reading.selected_items(proj)
  for _, item in ipairs(selected) do
    M.set_value(item, "B_UISEL", 0)
  end
  for _, item in ipairs(items) do
    M.set_value(item, "B_UISEL", 1)
  end
  reaper.Main_OnCommandEx(action, 0, proj)
  for _, item in ipairs(reading.selected_items(proj)) do
    M.set_value(item, "B_UISEL", 0)
  end
  for _, item in ipairs(selected) do
    if reaper.ValidatePtr2(proj, item, "MediaItem*") then
      M.set_value(item, "B_UISEL", 1)
    end
  end
end

--- Drop all takes of an item but the active one.
---@param proj ReaProject
---@param item MediaItem
function M.crop_to_active_take(proj, item)
  run_on(proj, { item }, CROP_TO_ACTIVE_TAKE)
end

---@param proj ReaProject
---@param take MediaItem_Take
function M.delete_take(proj, take)
  local item = reading.item_of(take)
  reaper.SetActiveTake(take)
  run_on(proj, { item }, DELETE_ACTIVE_TAKE)
end

--- Let REAPER itself heal cuts, where takes carry more than a source.
---@param proj ReaProject
---@param items MediaItem[]
function M.heal(proj, items)
  run_on(proj, items, HEAL_SPLITS)
end

--- A new item that holds a file, on a track of ReaPaint's below the others.
---@param proj ReaProject
---@param span reapaint.Span
---@param source PCM_source
---@param new { name: string, offset: number, ext: table, muted: boolean, new_track: boolean }
---@return MediaItem
function M.add_item(proj, span, source, new)
  if new.new_track then
    reaper.InsertTrackAtIndex(reaper.CountTracks(proj), false)
  end
  local track = reaper.GetTrack(proj, reaper.CountTracks(proj) - 1)
  if new.new_track then
    reaper.GetSetMediaTrackInfo_String(track, "P_NAME", "ReaPaint", true)
  end
  local item = reaper.AddMediaItemToTrack(track)
  -- An item made by a script gets the loop flag and short fades.
  M.set_value(item, "B_LOOPSRC", 0)
  M.set_fade(item, "IN")
  M.set_fade(item, "OUT")
  M.set_value(item, "B_MUTE", new.muted and 1 or 0)
  M.set_value(item, "D_LENGTH", span.end_s - span.start_s)
  M.set_value(item, "D_POSITION", span.start_s)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, source)
  reaper.SetMediaItemTakeInfo_Value(take, "D_STARTOFFS", new.offset)
  describe(take, new)
  return item
end

return M
