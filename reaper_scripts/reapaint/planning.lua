--- What a job reads and where its result will go, decided before anything is sent.

local errors = require("reapaint.errors")
local geometry = require("reapaint.geometry")
local json = require("reapaint.json")
local project = require("reapaint.project")
local sound = require("reapaint.sound")
local spool = require("reapaint.spool")

local M = {}

--- Where a painted take keeps what its sound was made from, beside the record.
M.JOB_KEY = "REAPAINT_JOB"
M.RECORD_KEY = "REAPAINT"
--- Where a painted item keeps the text of what it was cut from, if a cut divides envelopes or
--- markers: those are not joined again without it.
M.ORIGINAL_KEY = "REAPAINT_ORIGINAL"

local MAX_FOLLOWED_ITEMS = 16
local WHOLE_FILE_END_S = 1e6

---@class reapaint.Reading how an item's sound is read through REAPER
---@field sample_rate integer
---@field channels integer
---@field start_s number item time
---@field frames integer
---@field loops boolean

---@class reapaint.Plan
---@field facts reapaint.Facts
---@field spans reapaint.Span[] project seconds
---@field parts reapaint.Span[] project seconds
---@field axis_shift_s number project seconds plus this are seconds of the request's axis
---@field source table as in the request
---@field handles_s number
---@field reading reapaint.Reading?
---@field extend_to_s number?
---@field name string

--- What a painted take was made from.
---@param take MediaItem_Take
---@return table?
function M.job_of(take)
  local text = project.ext(take, M.JOB_KEY)
  local job = text ~= "" and json.decode(text)
  if type(job) == "table" and type(job.source) == "table" and tonumber(job.file_start_s) then
    return job
  end
  return nil
end

--- The painted take to go on from: the one that is heard, or the last.
---@param item MediaItem
---@return MediaItem_Take?, table?
function M.painted_take(item)
  local active = project.active_take(item)
  local job = active and M.job_of(active)
  if job then
    return active, job
  end
  local takes = project.takes(item)
  for index = #takes, 1, -1 do
    job = M.job_of(takes[index])
    if job then
      return takes[index], job
    end
  end
  return nil
end

--- The take of an item that plays the same file on from an edge.
local function continuing_take(item, path, edge_offset, direction)
  local length = project.value(item, "D_LENGTH")
  for _, take in ipairs(project.takes(item)) do
    local joint = project.offset(take) + (direction < 0 and length or 0)
    if
      math.abs(joint - edge_offset) < geometry.EDGE_TOLERANCE_S
      and project.source_path(take) == path
      and project.plays_plainly(take)
    then
      return edge_offset + direction * length
    end
  end
  return nil
end

--- Follow the items that go on where one ends, and play the same file: what is heard there is
--- context, though it lies in another item.
local function heard_beyond(item, path, edge_offset, direction)
  for _ = 1, MAX_FOLLOWED_ITEMS do
    local span, reached = project.item_span(item), nil
    for _, other in ipairs(project.neighbours(item, direction)) do
      reached = geometry.touches(span, project.item_span(other), direction)
        and continuing_take(other, path, edge_offset, direction)
      if reached then
        item, edge_offset = other, reached
        break
      end
    end
    if not reached then
      break
    end
  end
  return edge_offset
end

local function plan_file(plan, item, take)
  local facts = plan.facts
  if not (project.plays_plainly(take) and sound.is_plain_file(take)) then
    return nil
  end
  local found, err = sound.properties(take)
  if not found then
    return nil, err
  end
  local extends = plan.extend_to_s ~= nil
  local window = geometry.file_window(facts, plan.spans, found.length_s, extends)
  if not window then
    return nil
  end
  local path = facts.source
  local axis = geometry.shifted(plan.spans, window.shift_s)
  local start_s = heard_beyond(item, path, window.start_s, -1)
  local end_s = extends and window.end_s or heard_beyond(item, path, window.end_s, 1)
  local hears_none = axis[1].start_s <= start_s + geometry.EDGE_TOLERANCE_S
    and axis[#axis].end_s >= end_s - geometry.EDGE_TOLERANCE_S
  if hears_none then
    -- Nothing of the recording is heard but what is to go: the rest of the file must do.
    start_s, end_s = 0, extends and end_s or found.length_s
  end
  plan.axis_shift_s = window.shift_s
  plan.source = {
    route = "file",
    path = path,
    start_s = math.max(0, start_s),
    end_s = math.min(found.length_s, end_s),
  }
  return true
end

--- A painted part is painted anew from the sound its first job heard. Less than full strength
--- keeps some of what is heard now, and sound that came through REAPER is gone from the spool:
--- then the painted file itself, with the untouched sound on both sides, is the source.
local function plan_again(plan, take, job, strength)
  -- From project seconds to seconds of the painted file, and on to its job's axis.
  local to_file = project.offset(take) - plan.facts.position
  local to_axis = to_file + job.file_start_s
  local span = plan.spans[1]
  if geometry.is_whole(plan.facts, span) and type(job.span) == "table" then
    -- The whole part is meant: its span, which may be less where a fade made the part larger.
    local before = geometry.shifted({ job.span }, -to_axis)[1]
    plan.spans = { geometry.overlap(before, span) or span }
  end
  if strength >= 1 and job.source.route == "file" and reaper.file_exists(job.source.path) then
    plan.axis_shift_s = to_axis
    plan.source = job.source
    return
  end
  plan.axis_shift_s = to_file
  local found = sound.properties(take)
  plan.source = {
    route = "file",
    path = project.source_path(take),
    start_s = 0,
    end_s = found and found.length_s or WHOLE_FILE_END_S,
  }
end

local function plan_reading(plan, take, settings)
  local found, err = sound.properties(take)
  if not found then
    return nil, err
  end
  local facts = plan.facts
  local context = geometry.context_s(plan.spans, settings.context_s)
  local spans = geometry.shifted(plan.spans, -facts.position)
  plan.handles_s = math.min(geometry.MAX_HANDLES_S, math.max(plan.handles_s, context))
  local reach = math.max(context, plan.handles_s)
  local rate = found.sample_rate
  local start_s, frames = geometry.reading(facts.length, spans, reach, rate)
  local channels = project.heard_channels(take, found.channels)
  plan.axis_shift_s = -facts.position
  plan.reading = {
    sample_rate = rate,
    channels = channels,
    start_s = start_s,
    frames = frames,
    loops = facts.loops and found.length_s < facts.offset + facts.length * facts.rate,
  }
  plan.source = {
    route = "accessor",
    audio = "audio.f32",
    sample_rate = rate,
    channels = channels,
    frames = frames,
    start_s = start_s,
  }
  return true
end

local function plan_parts(plan, item, proj)
  local shape = project.shape(item)
  if plan.extend_to_s then
    shape.length = plan.extend_to_s - shape.position
    shape.fade_out_s = 0
  end
  local parts = geometry.parts(shape, plan.spans, project.sample_rate(proj))
  if not parts then
    return nil,
      errors.new(
        "shared_fade",
        "One fade of this item reaches into two of the selected areas.",
        "Paint one area at a time, or shorten the fade."
      )
  end
  if plan.extend_to_s then
    -- The old end is where the new sound begins, wherever it lies between two samples.
    parts[1] = { start_s = plan.spans[1].start_s, end_s = plan.extend_to_s }
  end
  plan.parts = parts
  plan.handles_s = geometry.handles_s(plan.spans, parts)
  if plan.handles_s > geometry.MAX_HANDLES_S then
    return nil,
      errors.new(
        "long_fade",
        "A fade of this item reaches more than a minute past the selection.",
        "Shorten the fade, or split the item first."
      )
  end
  return shape
end

--- Plan one job on one item.
---@param proj ReaProject
---@param item MediaItem
---@param spans reapaint.Span[] project seconds, inside the item unless it is extended
---@param settings reapaint.Settings
---@param extend_to_s number?
---@return reapaint.Plan?, reapaint.Error?
function M.plan(proj, item, spans, settings, extend_to_s)
  local refused = project.refusal(proj, item)
  if refused then
    return nil, refused
  end
  local take = project.active_take(item)
  local plan = {
    facts = project.facts(item, take),
    spans = spans,
    extend_to_s = extend_to_s,
    name = project.take_name(take),
  }
  local shape, err = plan_parts(plan, item, proj)
  if not shape then
    return nil, err
  end
  local painted, job = M.painted_take(item)
  if painted and #spans == 1 and geometry.is_whole(shape, plan.parts[1]) and not extend_to_s then
    plan_again(plan, painted, job, settings.strength)
    plan.name = job.name or plan.name
    return plan
  end
  local planned
  planned, err = plan_file(plan, item, take)
  if not planned and not err then
    planned, err = plan_reading(plan, take, settings)
  end
  if not planned then
    return nil, err
  end
  return plan
end

--- The request of a plan.
---@param plan reapaint.Plan
---@param job_id string
---@param settings_message table
---@param project_info { name: string, media_folder: string }
---@return table
function M.request(plan, job_id, settings_message, project_info)
  local source_end_s = plan.source.route == "file" and plan.source.end_s or nil
  return {
    protocol = spool.PROTOCOL,
    job_id = job_id,
    project = project_info,
    item = { name = plan.name },
    source = plan.source,
    spans = geometry.shifted(plan.spans, plan.axis_shift_s, source_end_s),
    settings = settings_message,
    handles_s = plan.handles_s,
  }
end

return M
