--- What these scripts note about a job in its folder, so that it survives them.

local channel = require("reapaint.channel")
local json = require("reapaint.json")
local planning = require("reapaint.planning")
local project = require("reapaint.project")
local settings = require("reapaint.settings")
local spool = require("reapaint.spool")

local M = {}

---@class reapaint.Job
---@field job_id string
---@field label string
---@field name string
---@field targets reapaint.Facts[] where the result may go; the first that still holds counts
---@field spans reapaint.Span[] project seconds
---@field parts reapaint.Span[] project seconds
---@field axis_shift_s number
---@field extend_to_s number?
---@field reading reapaint.Reading?
---@field request table

--- A job of a plan.
---@param plan reapaint.Plan
---@param chosen reapaint.Settings
---@param project_info { name: string, media_folder: string }
---@return reapaint.Job
function M.new(plan, chosen, project_info)
  local job_id = spool.new_job_id()
  local request = planning.request(plan, job_id, settings.as_message(chosen), project_info)
  request.instance = channel.instance()
  return {
    job_id = job_id,
    label = settings.label(chosen),
    name = plan.name,
    targets = { plan.facts },
    spans = plan.spans,
    parts = plan.parts,
    axis_shift_s = plan.axis_shift_s,
    extend_to_s = plan.extend_to_s,
    reading = plan.reading,
    request = request,
  }
end

--- Store a job, before anything is asked for and whenever its place moves.
---@param job reapaint.Job
---@return boolean?, reapaint.Error?
function M.store(job)
  return spool.write_note(job.job_id, {
    protocol = spool.PROTOCOL,
    job_id = job.job_id,
    label = job.label,
    name = job.name,
    targets = job.targets,
    spans = job.spans,
    parts = job.parts,
    axis_shift_s = job.axis_shift_s,
    extend_to_s = job.extend_to_s,
    reading = job.reading,
    request = job.request,
  })
end

--- A job as its folder holds it, or nil where none of these scripts' is.
---@param job_id string
---@return reapaint.Job?
function M.load(job_id)
  local note = spool.read_of_job(job_id, "script.json")
  if not note or type(note.targets) ~= "table" or type(note.request) ~= "table" then
    return nil
  end
  for key, value in pairs(note) do
    note[key] = json.value(value)
  end
  return note
end

--- The open project that holds what a job is for.
---@param job reapaint.Job
---@return ReaProject?
function M.home(job)
  for index = #job.targets, 1, -1 do
    local take, found = project.find_take(job.targets[index].take)
    if take then
      return found
    end
  end
  return nil
end

--- The project that a job was made in, by its name, where that is not the one in front.
---@param job reapaint.Job
---@return string?
function M.made_elsewhere(job)
  local home, current = M.home(job), project.current()
  local made_in = job.request.project
  local name = home and project.name(home) or (type(made_in) == "table" and made_in.name) or ""
  if home == current or (not home and name == project.name(current)) then
    return nil
  end
  return name ~= "" and name or "a project that was never saved"
end

return M
