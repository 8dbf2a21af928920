--- What can be done with the takes of painted parts.

local errors = require("reapaint.errors")
local geometry = require("reapaint.geometry")
local json = require("reapaint.json")
local planning = require("reapaint.planning")
local project = require("reapaint.project")
local settings = require("reapaint.settings")

local M = {}

local function none_found()
  return errors.new(
    "no_painted_part",
    "There is no painted part here.",
    "Select a painted item, or set the time selection over one."
  )
end

--- The painted items that are meant: selected and in the time selection; else the selected;
--- else those in the time selection.
---@param proj ReaProject
---@return MediaItem[]
function M.painted_items(proj)
  local span = project.time_selection(proj)
  local function painted(items, must_overlap)
    local found = {}
    for _, item in ipairs(items) do
      local overlaps = span and geometry.overlap(project.item_span(item), span)
      if (overlaps or not must_overlap) and planning.painted_take(item) then
        found[#found + 1] = item
      end
    end
    return found
  end
  local selected = project.selected_items(proj)
  local found = span and painted(selected, true) or {}
  if #found == 0 then
    found = painted(selected, false)
  end
  if #found == 0 and span and #selected == 0 then
    found = painted(project.implied_items(proj, span), true)
  end
  return found
end

local function unlocked_parts(proj)
  local items = M.painted_items(proj)
  if #items == 0 then
    return nil, none_found()
  end
  for _, item in ipairs(items) do
    if project.is_locked(item) then
      return nil, errors.locked_item()
    end
  end
  if project.is_recording(proj) then
    return nil, errors.recording()
  end
  return items
end

local function report(result, problem)
  if result then
    return result
  end
  return nil, errors.new("edit_failed", "Nothing was changed: " .. tostring(problem))
end

local function neighbour_take(item, step)
  local takes = project.takes(item)
  local active = project.active_take(item)
  for index, take in ipairs(takes) do
    if take == active then
      return takes[(index - 1 + step) % #takes + 1], (index - 1 + step) % #takes + 1, #takes
    end
  end
  return takes[1], 1, #takes
end

--- Hear the next or the previous take of each painted part.
---@param proj ReaProject
---@param step integer
---@return string? said
---@return reapaint.Error?
function M.step(proj, step)
  local items, err = unlocked_parts(proj)
  if not items then
    return nil, err
  end
  local label = step > 0 and "ReaPaint: next take" or "ReaPaint: previous take"
  return report(project.edit(proj, label, function()
    local said
    for _, item in ipairs(items) do
      local take, number, count = neighbour_take(item, step)
      project.activate(take)
      project.refresh(item)
      said = string.format("Take %d of %d: %s", number, count, project.take_name(take))
    end
    return said
  end))
end

--- Drop all takes of each painted part but the one that is heard.
---@param proj ReaProject
---@return string?, reapaint.Error?
function M.keep(proj)
  local items, err = unlocked_parts(proj)
  if not items then
    return nil, err
  end
  return report(project.edit(proj, "ReaPaint: keep this take", function()
    for _, item in ipairs(items) do
      if #project.takes(item) > 1 then
        project.crop_to_active_take(proj, item)
      end
    end
    return "Kept the take that is heard; undo brings the others back."
  end))
end

local function originals(item)
  local kept = {}
  for _, take in ipairs(project.takes(item)) do
    if not planning.job_of(take) then
      kept[#kept + 1] = take
    end
  end
  return kept
end

local function drop_painted_takes(proj, item, origin)
  local guids = {}
  for _, take in ipairs(project.takes(item)) do
    if planning.job_of(take) then
      guids[#guids + 1] = project.take_guid(take)
    end
  end
  for _, guid in ipairs(guids) do
    project.delete_take(proj, project.find_take(guid, proj))
  end
  local like = origin.like and project.find_take(origin.like, proj)
  project.activate(like or project.takes(item)[1])
end

--- The piece that touches a painted part on one side, as the cut left it.
local function touching(item, direction)
  local span = project.item_span(item)
  for _, other in ipairs(project.neighbours(item, direction)) do
    local is_next = geometry.touches(span, project.item_span(other), direction)
    if is_next and not planning.painted_take(other) then
      return other
    end
  end
  return nil
end

--- Join the pieces by hand: the left one takes up the others' room.
local function join_plain(item, left, right, origin)
  local first = item
  if right and project.goes_on(item, right) then
    project.join(item, right)
  end
  if left and origin.extended then
    project.delete_item(item)
    project.set_fade(left, "OUT", origin.fade_out)
    first = left
  elseif left and project.goes_on(left, item) then
    project.join(left, item)
    first = left
  end
  if math.abs(project.value(first, "D_LENGTH") - origin.length) < geometry.EDGE_TOLERANCE_S then
    project.set_value(first, "D_LENGTH", origin.length)
  end
  return first
end

--- Put the text of the item back that was kept because a cut divides more than sound. Only
--- where its pieces still lie as they were cut.
local function rejoin_by_text(item, left, right, origin, text)
  local first, last = left or item, right or item
  local start_s, end_s = project.item_span(first).start_s, project.item_span(last).end_s
  local span_s = origin.extended and origin.length or end_s - start_s
  if
    math.abs(start_s - origin.position) > geometry.EDGE_TOLERANCE_S
    or math.abs(span_s - origin.length) > geometry.EDGE_TOLERANCE_S
  then
    return nil
  end
  for _, piece in ipairs({ item, right or nil }) do
    if piece ~= first then
      project.delete_item(piece)
    end
  end
  project.set_text(first, text)
  return first
end

local function restore_one(proj, item)
  local _, job = planning.painted_take(item)
  local origin = job.origin or {}
  drop_painted_takes(proj, item, origin)
  if origin.loops then
    project.set_value(item, "B_LOOPSRC", origin.loops)
  end
  if not origin.length then
    return
  end
  local left = origin.cut_left and touching(item, -1) or nil
  local right = origin.cut_right and touching(item, 1) or nil
  local text = project.item_ext(item, planning.ORIGINAL_KEY)
  project.set_item_ext(item, planning.ORIGINAL_KEY, "")
  local whole = text ~= "" and rejoin_by_text(item, left, right, origin, text)
  if not whole and project.is_plain_cut(item) then
    whole = join_plain(item, left, right, origin)
  elseif not whole then
    project.heal(proj, { left or item, item, right or item })
    return
  end
  project.refresh(whole)
end

--- Drop the new takes and heal the cuts: the item as it was before it was painted.
---@param proj ReaProject
---@return string?, reapaint.Error?
function M.restore(proj)
  local items, err = unlocked_parts(proj)
  if not items then
    return nil, err
  end
  for _, item in ipairs(items) do
    if #originals(item) == 0 then
      return nil,
        errors.new(
          "original_dropped",
          "The original is no longer a take of this part.",
          "Undo what dropped it."
        )
    end
  end
  return report(project.edit(proj, "ReaPaint: restore original", function()
    -- Restoring one part may swallow its neighbours, but no other painted part.
    for _, item in ipairs(items) do
      restore_one(proj, item)
    end
    return "Restored the original."
  end))
end

--- Take the settings of the painted take that is heard into the next prompt.
---@param proj ReaProject
---@return string?, reapaint.Error?
function M.recall(proj)
  local item = M.painted_items(proj)[1]
  if not item then
    return nil, none_found()
  end
  local _, job = planning.painted_take(item)
  local recalled = settings.complete(job.settings or {})
  recalled.seed = json.value(job.seed)
  recalled.takes = 1
  settings.recall(recalled)
  local text = "Recalled for the next prompt: %s (seed %s)"
  return text:format(settings.label(recalled), tostring(job.seed))
end

return M
