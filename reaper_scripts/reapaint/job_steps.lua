--- The steps of one job: its item is read, its answer waited for, opened and spliced in.
---
--- A step does a few milliseconds of work at most. Each job probes one known path a tick.

local channel = require("reapaint.channel")
local display = require("reapaint.display")
local errors = require("reapaint.errors")
local jobs = require("reapaint.jobs")
local json = require("reapaint.json")
local project = require("reapaint.project")
local sound = require("reapaint.sound")
local splice = require("reapaint.splice")
local spool = require("reapaint.spool")

local M = {}

--- Every so many ticks a job's probe is for its progress instead of its result.
local PROGRESS_EVERY_TICKS = 5
local OPEN_BUDGET_S = 0.004
--- Why a result is kept that this REAPER did not wait for.
M.CAME_WHILE_CLOSED = "REAPER was closed before it came"
M.STAGES = {
  reading = "reading",
  queued = "waiting",
  starting = "starting the engine",
  load = "loading the model",
  encode = "listening",
  sample = "painting",
  decode = "painting",
  splice = "splicing",
  write = "writing",
}

---@class reapaint.Pending: reapaint.Job
---@field state "reading"|"waiting"|"opening"|"placing"|"kept"|"done"
---@field stage string
---@field fraction number
---@field proj ReaProject?
---@field reader reapaint.Reader?
---@field result table?
---@field opened { source: PCM_source? }[][]? files of the result, by take, then by span
---@field reason string? why it is kept

local function say(listener, text)
  display.say(listener.display, text)
end

--- Let go of what a job holds open.
---@param job reapaint.Pending
function M.close(job)
  if job.reader then
    sound.close_reader(job.reader)
    job.reader = nil
  end
  for _, take in pairs(job.opened or {}) do
    sound.destroy(take)
  end
  job.opened = nil
end

--- End a job: nothing waits for it any more.
---@param job reapaint.Pending
function M.finish(job)
  M.close(job)
  spool.mark(job.job_id, "applied")
  job.state = "done"
end

--- Let a person decide about a result.
---@param listener reapaint.Listener
---@param job reapaint.Pending
---@param reason string
function M.keep(listener, job, reason)
  M.close(job)
  job.state, job.reason = "kept", reason
  local text = "A result of ReaPaint is kept: %s. Inpaint time selection offers it."
  say(listener, text:format(reason))
end

local function fail(listener, job, err)
  M.finish(job)
  say(listener, errors.sentence(err))
end

---@param job reapaint.Pending
---@return boolean
function M.is_active(job)
  return job.state ~= "done" and job.state ~= "kept"
end

--- Whether this REAPER asked for a job. One taken up from another, which may only be held up
--- by a window, is neither shown as ours nor cancelled, and its result waits for a word.
---@param listener reapaint.Listener
---@param job reapaint.Pending
---@return boolean
function M.is_own(listener, job)
  return job.request.instance == listener.instances.own
end

--- End a job before its time. The bridge sees either sign, also one that starts tomorrow.
---@param job reapaint.Pending
function M.cancel(job)
  if job.state == "waiting" then
    spool.mark(job.job_id, "cancel")
  end
  M.finish(job)
end

local function project_of(job)
  job.proj = job.proj or jobs.home(job)
  return job.proj
end

--- Follow a job from now on.
---@param listener reapaint.Listener
---@param job reapaint.Job
function M.begin(listener, job)
  project_of(job)
  job.fraction = 0
  job.state = job.reading and not spool.has(job.job_id, "request.json") and "reading" or "waiting"
  job.stage = job.state == "reading" and "reading" or "queued"
  table.insert(listener.jobs, job)
end

-- Reading

local function start_reading(listener, job)
  local proj = project_of(job)
  local is_open = proj and project.is_open(proj)
  if is_open and not project.is_current(proj) then
    return
  end
  local _, take
  if is_open then
    _, take = splice.target(job, proj)
  end
  if not take then
    return fail(listener, job, errors.new("item_changed", "The item changed before it was read."))
  end
  local path = spool.job_path(job.job_id, "audio.f32")
  local reader, err = sound.open_reader(take, job.reading, path)
  if not reader then
    return fail(listener, job, err)
  end
  job.reader = reader
end

local function read(listener, job)
  if not job.reader then
    start_reading(listener, job)
    return
  end
  local is_open = project.is_open(job.proj)
  if is_open and not project.is_current(job.proj) then
    -- Handles into a project that is not in front are not to be touched.
    return
  elseif not is_open or not splice.target(job, job.proj) then
    return fail(listener, job, errors.new("item_changed", "The item changed while it was read."))
  end
  local finished, err = sound.read_on(job.reader)
  if err then
    return fail(listener, job, err)
  end
  job.fraction = job.reader.done / math.max(1, job.reader.frames)
  if finished then
    M.close(job)
    local ok, problem = spool.commit(job.job_id, job.request)
    if not ok then
      return fail(listener, job, problem)
    end
    job.state, job.stage, job.fraction = "waiting", "queued", 0
  end
end

-- Results

--- Open the files of a result, a few milliseconds' worth a tick.
---@param job reapaint.Pending
---@return boolean? finished nil after an error
---@return reapaint.Error?
local function open_files(job)
  local started = reaper.time_precise()
  for index, take in ipairs(job.result.takes) do
    local opened = job.opened[index] or {}
    job.opened[index] = opened
    for _, file in ipairs(take.files) do
      if not opened[file.span + 1] then
        if reaper.time_precise() - started > OPEN_BUDGET_S then
          return false
        end
        local result, err = sound.open_result(file.path)
        if not result then
          return nil, err
        end
        opened[file.span + 1] = result
      end
    end
  end
  for _, opened in ipairs(job.opened) do
    if not sound.build_peaks(opened) then
      return false
    end
  end
  return true
end

--- Have the files of a result open; what can't be opened now may be another time.
---@return boolean? ready
local function have_open(listener, job)
  local ready, err = open_files(job)
  if err and err.code == "unopened_result" then
    M.keep(listener, job, err.message)
  elseif err then
    fail(listener, job, err)
  end
  return ready
end

local function others(listener, job)
  local rest = {}
  for _, other in ipairs(listener.jobs) do
    if other ~= job and M.is_active(other) then
      rest[#rest + 1] = other
    end
  end
  return rest
end

--- What stands against splicing now: a wait, or a reason to keep the result. Handles into a
--- project are touched only while it is in front.
---@return "wait"|"keep"|nil, string? reason
local function obstacle(proj)
  if not proj then
    return "keep", "its item is gone"
  elseif not project.is_open(proj) then
    return "keep", "its project was closed"
  elseif not project.is_current(proj) or project.is_recording(proj) then
    return "wait"
  end
  return nil
end

local function report_done(listener, job)
  local warnings = job.result.warnings
  if type(warnings) == "table" and warnings[1] then
    say(listener, tostring(warnings[1]))
  end
end

local function splice_in(listener, job)
  local proj = project_of(job)
  local what, reason = obstacle(proj)
  if what == "wait" then
    return
  elseif what == "keep" then
    return M.keep(listener, job, reason)
  end
  local item, take = splice.target(job, proj)
  if not item then
    return M.keep(listener, job, "its item has changed")
  elseif project.is_locked(item) then
    return M.keep(listener, job, "its item is locked")
  end
  local waiting = splice.waiting_for(others(listener, job), item, proj)
  local pieces, err = splice.apply(job, item, take)
  if not pieces then
    M.keep(listener, job, "it could not be spliced in")
    return say(listener, errors.sentence(err))
  end
  splice.move_targets(waiting, pieces)
  for _, entry in ipairs(waiting) do
    jobs.store(entry.job)
  end
  M.finish(job)
  report_done(listener, job)
end

local function open(listener, job)
  if have_open(listener, job) then
    splice_in(listener, job)
  end
end

--- Put a result that has lost its place on a track of its own, and say where that is.
local function place_apart(listener, job)
  if not have_open(listener, job) then
    return
  end
  local elsewhere = jobs.made_elsewhere(job)
  local done, err = splice.place_apart(job)
  if not done then
    M.keep(listener, job, "it could not be placed")
    return say(listener, errors.sentence(err))
  end
  M.finish(job)
  if elsewhere then
    local text = "This result was made in %s; it is on a new track of the project in front."
    say(listener, text:format(elsewhere))
  else
    say(listener, "The result is on a new track, because its place has changed.")
  end
end

local function receive(listener, job, result)
  if not result.ok then
    local err = type(result.error) == "table" and result.error or {}
    local message = json.value(err.message) or "The job failed."
    return fail(listener, job, errors.new(err.code, message, json.value(err.hint)))
  elseif type(result.takes) ~= "table" or #result.takes == 0 then
    return fail(listener, job, errors.new("empty_result", "The result holds no take."))
  elseif not M.is_own(listener, job) then
    return M.keep(listener, job, M.CAME_WHILE_CLOSED)
  end
  job.result = result
  job.state, job.stage, job.fraction = "opening", "splice", 1
  job.opened = {}
end

local function probe_progress(job)
  local progress = spool.read_of_job(job.job_id, "progress.json")
  if progress then
    job.stage = M.STAGES[progress.stage] and progress.stage or job.stage
    job.fraction = math.max(0, math.min(1, tonumber(progress.fraction) or 0))
  end
end

local function probe(listener, job, index)
  if (listener.ticks + index) % PROGRESS_EVERY_TICKS == 0 then
    return probe_progress(job)
  elseif not spool.has(job.job_id, "result.json") then
    return
  end
  local result, err = spool.read_of_job(job.job_id, "result.json")
  if not result and err.code == "missing_file" then
    -- It is there, but another program has it open: the next tick will do.
    return
  elseif not result then
    return fail(listener, job, err)
  end
  receive(listener, job, result)
  if job.state == "opening" then
    open(listener, job)
  end
end

-- Kept results

--- Put a kept result where it belongs if that holds again, else on a track of its own.
---@param listener reapaint.Listener
---@param job reapaint.Pending
function M.place(listener, job)
  local result, err = spool.read_of_job(job.job_id, "result.json")
  if not result or spool.has(job.job_id, "applied") then
    -- Swept, or taken by another REAPER, since it was offered.
    job.state = "done"
    return say(listener, err and errors.sentence(err) or "This result was taken meanwhile.")
  end
  job.result, job.opened, job.proj = result, {}, project.current()
  job.state = splice.target(job, job.proj) and "opening" or "placing"
end

-- The tick

local STEPS = { reading = read, waiting = probe, opening = open, placing = place_apart }
local HEAVY = { reading = true, opening = true, placing = true }

local function guarded_step(listener, job, index)
  local ok, problem = xpcall(STEPS[job.state], debug.traceback, listener, job, index)
  if not ok then
    -- One job's trouble must not end the others'.
    M.close(job)
    job.state, job.reason = "kept", "something unexpected happened"
    channel.set_last_error(tostring(problem))
    say(listener, "A job of ReaPaint stopped: " .. errors.first_line(problem))
  end
end

--- Take every job a step further. Readers and splices take their time one after the other,
--- not all in one tick.
---@param listener reapaint.Listener
function M.step(listener)
  local is_busy = false
  for index, job in ipairs(listener.jobs) do
    local before = job.state
    if STEPS[before] and not (HEAVY[before] and is_busy) then
      guarded_step(listener, job, index)
      is_busy = is_busy or HEAVY[before] or before ~= job.state
    end
  end
end

return M
