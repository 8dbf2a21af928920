--- How a result enters the project: its part is cut out, and gets the new takes beside the old.

local errors = require("reapaint.errors")
local geometry = require("reapaint.geometry")
local json = require("reapaint.json")
local planning = require("reapaint.planning")
local project = require("reapaint.project")
local sound = require("reapaint.sound")

local M = {}

--- The longest text of an item that is kept with its painted part; plug-ins can make it huge.
local MAX_TEXT_BYTES = 65536

local function take_index(item, take)
  for index, candidate in ipairs(project.takes(item)) do
    if candidate == take then
      return index
    end
  end
  return nil
end

local function is_whole_part(job, item)
  return #job.parts == 1
    and not job.extend_to_s
    and geometry.is_whole(project.shape(item), job.parts[1])
end

--- The item and take that a job's result belongs to, unless they changed.
---@param job reapaint.Job
---@param proj ReaProject
---@return MediaItem?, MediaItem_Take?
function M.target(job, proj)
  for _, facts in ipairs(job.targets) do
    local take = project.find_take(facts.take, proj)
    local item = take and project.item_of(take)
    if item and project.same_facts(facts, project.facts(item, take)) then
      -- A cut concerns what is heard on all sides; another take of a painted part does not.
      if is_whole_part(job, item) or project.active_take(item) == take then
        return item, take
      end
    end
  end
  return nil
end

--- Cut the parts out of an item, from the back to the front.
---@param item MediaItem
---@param parts reapaint.Span[]
---@return MediaItem[] painted one for each part
---@return MediaItem[] pieces all that the item became
local function cut_out(item, parts)
  local painted, pieces = {}, { item }
  for index = #parts, 1, -1 do
    local part, span = parts[index], project.item_span(item)
    if part.end_s < span.end_s - geometry.EDGE_TOLERANCE_S then
      pieces[#pieces + 1] = project.cut(item, part.end_s)
    end
    painted[index] = item
    if part.start_s > span.start_s + geometry.EDGE_TOLERANCE_S then
      painted[index] = project.cut(item, part.start_s)
      pieces[#pieces + 1] = painted[index]
    end
  end
  return painted, pieces
end

--- Whether a take of a looped item leaves its source, so that it needs the loop to sound.
local function needs_loop(item, take)
  local found = sound.properties(take)
  if not found then
    return false
  end
  local facts = project.facts(item, take)
  local end_s = facts.offset + facts.length * facts.rate
  local tolerance_s = geometry.EDGE_TOLERANCE_S
  return facts.offset < -tolerance_s or end_s > found.length_s + tolerance_s
end

local function file_for(result_take, span)
  for _, file in ipairs(result_take.files) do
    if file.span == span - 1 then
      return file
    end
  end
  error("a take lacks a file for span " .. span)
end

local function file_name(path)
  return (path:match("[^/\\]+$"):gsub("%.[^.]*$", ""))
end

--- What is stored with a take: the record of its making, and what these scripts need to go on.
---@param job reapaint.Pending
---@param result_take table
---@param file table
---@param origin table?
---@return table<string, string>
local function stored(job, result_take, file, origin)
  local record = {}
  for key, value in pairs(job.result.record) do
    record[key] = value
  end
  record.seed = result_take.seed
  record.job_id = job.job_id
  return {
    [planning.RECORD_KEY] = json.encode(record),
    [planning.JOB_KEY] = json.encode({
      job_id = job.job_id,
      name = job.name,
      seed = result_take.seed,
      file_start_s = file.file_start_s,
      source = job.request.source,
      span = job.request.spans[file.span + 1],
      settings = job.request.settings,
      origin = origin,
    }),
  }
end

--- Give away what a take plays in a part: whatever happens from here on, it dies with its take.
local function hand_over(job, take_number, part_number)
  local opened = job.opened[take_number][part_number]
  local source = opened.source
  opened.source = nil
  return source
end

---@class reapaint.Part a piece that was cut out
---@field number integer
---@field item MediaItem
---@field like MediaItem_Take the take that the new ones are made like
---@field origin table what `takes` needs to undo the cut

--- Add all takes of a result to one part; the first becomes the one that is heard.
---@param job reapaint.Pending
---@param part reapaint.Part
local function add_takes(job, part)
  local part_start_s = project.item_span(part.item).start_s
  local like_guid = project.take_guid(part.like)
  local first_guid
  for index, result_take in ipairs(job.result.takes) do
    local file = file_for(result_take, part.number)
    local source = hand_over(job, index, part.number)
    local take = project.add_take(part.item, project.find_take(like_guid, job.proj), source, {
      name = file_name(file.path),
      offset = part_start_s + job.axis_shift_s - file.file_start_s,
      ext = stored(job, result_take, file, part.origin),
    })
    first_guid = first_guid or project.take_guid(take)
    project.copy_envelopes_to_last(part.item, project.find_take(like_guid, job.proj))
  end
  project.activate(project.find_take(first_guid, job.proj))
end

--- What a part that is painted already was cut from: a further take does not change that.
local function origin_of(item)
  local _, before = planning.painted_take(item)
  return before and before.origin
end

--- Cut the parts of a job out of its item, and give them their takes.
---@param job reapaint.Pending
---@param item MediaItem
---@param take MediaItem_Take
---@return MediaItem[] pieces what the item became
local function cut_and_fill(job, item, take)
  local loops = project.value(item, "B_LOOPSRC")
  local whole = project.item_span(item)
  local length = project.value(item, "D_LENGTH")
  local index = take_index(item, take)
  local origin_fade = project.fade(item, "OUT")
  local text = not project.is_plain_cut(item) and project.text(item) or ""
  if job.extend_to_s then
    project.set_value(item, "D_LENGTH", job.extend_to_s - whole.start_s)
  end
  local painted, pieces = cut_out(item, job.parts)
  for number, piece in ipairs(painted) do
    local span = project.item_span(piece)
    local like = project.takes(piece)[index]
    local origin = #pieces == 1 and origin_of(piece)
      or {
        cut_left = span.start_s > whole.start_s + geometry.EDGE_TOLERANCE_S,
        cut_right = span.end_s < whole.end_s - geometry.EDGE_TOLERANCE_S,
        extended = job.extend_to_s ~= nil,
        position = whole.start_s,
        length = length,
        loops = loops,
        fade_out = origin_fade,
        like = project.take_guid(like),
      }
    if loops ~= 0 and not needs_loop(piece, like) then
      project.set_value(piece, "B_LOOPSRC", 0)
    end
    if #pieces > 1 and text ~= "" and #text <= MAX_TEXT_BYTES then
      project.set_item_ext(piece, planning.ORIGINAL_KEY, text)
    end
    add_takes(job, { number = number, item = piece, like = like, origin = origin })
  end
  for _, piece in ipairs(pieces) do
    project.refresh(piece)
  end
  return pieces
end

--- Splice the result of a job in, whose files are open: one tick, one undo point.
---@param job reapaint.Pending
---@param item MediaItem
---@param take MediaItem_Take
---@return MediaItem[]? pieces what the item became
---@return reapaint.Error?
function M.apply(job, item, take)
  local pieces, problem = project.edit(job.proj, "ReaPaint: " .. job.label, function()
    return cut_and_fill(job, item, take)
  end, project.remember(item))
  if not pieces then
    return nil,
      errors.new(
        "splice_failed",
        "The result could not be spliced in; the project is as it was.",
        "The files are kept. What went wrong: " .. errors.first_line(problem)
      )
  end
  return pieces
end

--- Which of the other jobs wait for the same item as one that is about to be spliced, and for
--- which of its takes.
---@param jobs reapaint.Job[]
---@param item MediaItem
---@param proj ReaProject
---@return { job: reapaint.Job, index: integer }[]
function M.waiting_for(jobs, item, proj)
  local waiting = {}
  for _, job in ipairs(jobs) do
    local target, take = M.target(job, proj)
    if target == item then
      waiting[#waiting + 1] = { job = job, index = take_index(item, take) }
    end
  end
  return waiting
end

--- Tell waiting jobs where their part went. What they waited for stays valid too: an undo
--- brings it back.
---@param waiting { job: reapaint.Job, index: integer }[]
---@param pieces MediaItem[]
function M.move_targets(waiting, pieces)
  local places = {}
  for index, piece in ipairs(pieces) do
    places[index] = project.shape(piece)
    places[index].item = piece
  end
  for _, entry in ipairs(waiting) do
    local place = geometry.holder(places, entry.job.parts, geometry.EDGE_TOLERANCE_S)
    local take = place and project.takes(place.item)[entry.index]
    if take then
      table.insert(entry.job.targets, project.facts(place.item, take))
    end
  end
end

--- Put a result that has lost its place on a new track, where it would have been heard.
---@param job reapaint.Pending
---@return boolean?, reapaint.Error?
function M.place_apart(job)
  local label = "ReaPaint: " .. job.label .. " (on a new track)"
  local done, problem = project.edit(job.proj, label, function()
    for take_number, result_take in ipairs(job.result.takes) do
      for index, part in ipairs(job.parts) do
        local file = file_for(result_take, index)
        project.add_item(job.proj, part, hand_over(job, take_number, index), {
          name = file_name(file.path),
          offset = part.start_s + job.axis_shift_s - file.file_start_s,
          ext = stored(job, result_take, file),
          muted = take_number > 1,
          new_track = take_number == 1 and index == 1,
        })
      end
    end
    return true
  end, project.remember_tracks(job.proj))
  if not done then
    local what = "The result could not be placed: " .. errors.first_line(problem)
    return nil, errors.new("splice_failed", what)
  end
  return true
end

return M
