--- What these scripts note about a job in its folder, so that it survives them.

local json = require("reapaint.json")
local planning = require("reapaint.planning")
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
---@param in_project { name: string, media_folder: string }
---@return reapaint.Job
function M.new(plan, chosen, in_project)
  local job_id = spool.new_job_id()
  return {
    job_id = job_id,
    label = chosen.prompt ~= "" and chosen.prompt or "fill from surroundings",
    name = plan.name,
    targets = { plan.facts },
    spans = plan.spans,
    parts = plan.parts,
    axis_shift_s = plan.axis_shift_s,
    extend_to_s = plan.extend_to_s,
    reading = plan.reading,
    request = planning.request(plan, job_id, settings.as_message(chosen), in_project),
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
  local note = spool.read_message(spool.job_path(job_id, "script.json"), job_id)
  if not note or type(note.targets) ~= "table" or type(note.request) ~= "table" then
    return nil
  end
  for key, value in pairs(note) do
    note[key] = json.value(value)
  end
  return note
end

return M
