--- The resident script: follows jobs, splices results in, shows how far they are.
---
--- A tick does a few milliseconds of work at most. Each job probes one known path a tick.

local bridge = require("reapaint.bridge")
local channel = require("reapaint.channel")
local display = require("reapaint.display")
local errors = require("reapaint.errors")
local jobs = require("reapaint.jobs")
local json = require("reapaint.json")
local project = require("reapaint.project")
local settings = require("reapaint.settings")
local sound = require("reapaint.sound")
local splice = require("reapaint.splice")
local spool = require("reapaint.spool")

local M = {}

--- Every so many ticks a job's probe is for its progress instead of its result.
local PROGRESS_EVERY = 5
local OPEN_BUDGET_S = 0.004
--- A bridge beats once a second: an older beat tells of an engine that was asked for before.
local ENGINE_NEWS_TICKS = 70
local STAGES = {
  reading = "reading",
  queued = "waiting",
  starting = "starting the engine",
  encode = "listening",
  sample = "painting",
  decode = "painting",
  splice = "splicing",
  write = "writing",
}

---@class reapaint.Pending: reapaint.Job
---@field state "reading"|"waiting"|"opening"|"kept"|"done"
---@field stage string
---@field fraction number
---@field is_cancelled boolean?
---@field in_project ReaProject?
---@field reader reapaint.Reader?
---@field result table?
---@field opened table?
---@field reason string? why it is kept

---@class reapaint.Listener
---@field token string
---@field jobs reapaint.Pending[]
---@field bridge reapaint.BridgeState
---@field display reapaint.Display
---@field ticks integer
---@field engine_ticks integer? since a person asked for the engine; nil once it was told of

local function say(listener, text)
  display.say(listener.display, text)
end

local function close(job)
  if job.reader then
    sound.close_reader(job.reader)
    job.reader = nil
  end
  for _, take in ipairs(job.opened or {}) do
    sound.destroy(take)
  end
  job.opened = nil
end

local function finish(job)
  close(job)
  spool.mark(job.job_id, "applied")
  job.state = "done"
end

local function keep(listener, job, reason)
  close(job)
  job.state, job.reason = "kept", reason
  local text = "A result of ReaPaint is kept: %s. Inpaint time selection offers it."
  say(listener, text:format(reason))
end

local function fail(listener, job, err)
  finish(job)
  say(listener, errors.sentence(err))
end

local function project_of(job)
  if job.in_project then
    return job.in_project
  end
  for index = #job.targets, 1, -1 do
    local take, found = project.find_take(job.targets[index].take)
    if take then
      job.in_project = found
      return found
    end
  end
  return nil
end

-- Reading

local function start_reading(listener, job)
  local in_project = project_of(job)
  local is_open = in_project and project.is_open(in_project)
  if is_open and not project.is_current(in_project) then
    return
  end
  local _, take
  if is_open then
    _, take = splice.target(job, in_project)
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
  local is_open = project.is_open(job.in_project)
  if is_open and not project.is_current(job.in_project) then
    -- Handles into a project that is not in front are not to be touched.
    return
  elseif not is_open or not splice.target(job, job.in_project) then
    return fail(listener, job, errors.new("item_changed", "The item changed while it was read."))
  end
  local finished, err = sound.read_on(job.reader)
  if err then
    return fail(listener, job, err)
  end
  job.fraction = job.reader.done / math.max(1, job.reader.frames)
  if finished then
    close(job)
    local ok, problem = spool.commit(job.job_id, job.request)
    if not ok then
      return fail(listener, job, problem)
    end
    job.state, job.stage, job.fraction = "waiting", "queued", 0
  end
end

-- Results

local function receive(listener, job, result)
  if job.is_cancelled then
    return finish(job)
  elseif not result.ok then
    local err = type(result.error) == "table" and result.error or {}
    local message = json.value(err.message) or "The job failed."
    return fail(listener, job, errors.new(err.code, message, json.value(err.hint)))
  elseif type(result.takes) ~= "table" or #result.takes == 0 then
    return fail(listener, job, errors.new("empty_result", "The result holds no take."))
  end
  job.result = result
  job.state, job.stage, job.fraction = "opening", "splice", 1
  job.opened = {}
end

--- Open the files of a result, a few milliseconds' worth a tick.
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

local function others(listener, job)
  local rest = {}
  for _, other in ipairs(listener.jobs) do
    if other ~= job and other.state ~= "done" and other.state ~= "kept" then
      rest[#rest + 1] = other
    end
  end
  return rest
end

--- What stands against splicing now: a wait, or a reason to keep the result. Handles into a
--- project are touched only while it is in front.
---@return "wait"|"keep"|nil, string? reason
local function obstacle(in_project)
  if not in_project then
    return "keep", "its item is gone"
  elseif not project.is_open(in_project) then
    return "keep", "its project was closed"
  elseif not project.is_current(in_project) or project.is_recording(in_project) then
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
  local in_project = project_of(job)
  local what, reason = obstacle(in_project)
  if what == "wait" then
    return
  elseif what == "keep" then
    return keep(listener, job, reason)
  end
  local item, take = splice.target(job, in_project)
  if not item then
    return keep(listener, job, "its item has changed")
  elseif project.is_locked(item) then
    return keep(listener, job, "its item is locked")
  end
  local waiting = splice.waiting_for(others(listener, job), item, in_project)
  local pieces, err = splice.apply(job, job.result, job.opened, in_project, item, take)
  if not pieces then
    keep(listener, job, "it could not be spliced in")
    return say(listener, errors.sentence(err))
  end
  splice.move_targets(waiting, pieces)
  for _, entry in ipairs(waiting) do
    jobs.store(entry.job)
  end
  finish(job)
  report_done(listener, job)
end

local function open(listener, job)
  local ready, err = open_files(job)
  if err then
    fail(listener, job, err)
  elseif ready then
    splice_in(listener, job)
  end
end

local function probe(listener, job, index)
  if (listener.ticks + index) % PROGRESS_EVERY == 0 then
    local progress = spool.read_message(spool.job_path(job.job_id, "progress.json"), job.job_id)
    if progress then
      job.stage = STAGES[progress.stage] and progress.stage or job.stage
      job.fraction = math.max(0, math.min(1, tonumber(progress.fraction) or 0))
    end
  elseif spool.has(job.job_id, "result.json") then
    local path = spool.job_path(job.job_id, "result.json")
    local result, err = spool.read_message(path, job.job_id)
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
end

local STEPS = { reading = read, waiting = probe, opening = open }

-- Words

local function add_job(listener, job_id)
  local job = jobs.load(job_id)
  if not job then
    return say(listener, "A job of ReaPaint got lost: its folder can't be read.")
  end
  project_of(job)
  job.fraction = 0
  job.state = job.reading and not spool.has(job_id, "request.json") and "reading" or "waiting"
  job.stage = job.state == "reading" and "reading" or "queued"
  table.insert(listener.jobs, job)
  bridge.hope_again(listener.bridge)
end

local function cancel(job)
  if job.state == "waiting" then
    job.is_cancelled = true
    spool.mark(job.job_id, "cancel")
  elseif job.state == "reading" or job.state == "opening" then
    finish(job)
  end
end

local function is_active(job)
  return job.state ~= "done" and job.state ~= "kept" and not job.is_cancelled
end

local function cancel_last(listener)
  for index = #listener.jobs, 1, -1 do
    if is_active(listener.jobs[index]) then
      cancel(listener.jobs[index])
      return say(listener, "Cancelled.")
    end
  end
  say(listener, "Nothing to cancel.")
end

local function cancel_all(listener)
  local count = 0
  for _, job in ipairs(listener.jobs) do
    if is_active(job) then
      cancel(job)
      count = count + 1
    end
  end
  say(listener, count > 0 and string.format("Cancelled %d.", count) or "Nothing to cancel.")
end

local function find_kept(listener, job_id)
  for _, job in ipairs(listener.jobs) do
    if job.job_id == job_id and job.state == "kept" then
      return job
    end
  end
  return nil
end

local function dismiss(listener, job_id)
  local job = find_kept(listener, job_id)
  if job then
    finish(job)
  end
end

--- Put a kept result where it belongs if that holds again, else on a track of its own.
local function place(listener, job_id)
  local job = find_kept(listener, job_id)
  if not job then
    return
  end
  local path = spool.job_path(job_id, "result.json")
  local result, err = spool.read_message(path, job_id)
  if not result then
    return say(listener, errors.sentence(err))
  end
  job.result, job.opened, job.in_project = result, {}, nil
  job.state = "opening"
  local current = project.current()
  if splice.target(job, current) then
    job.in_project = current
    return
  end
  job.apart_in = current
end

local function place_apart(listener, job)
  local ready, err = open_files(job)
  if err then
    return fail(listener, job, err)
  elseif not ready then
    return
  end
  local done
  done, err = splice.place_apart(job, job.result, job.opened, job.apart_in)
  if not done then
    keep(listener, job, "it could not be placed")
    return say(listener, errors.sentence(err))
  end
  finish(job)
end

local WORDS = {
  job = add_job,
  cancel = cancel_last,
  cancel_all = cancel_all,
  dismiss = dismiss,
  place = place,
  said = say,
  launch = function(listener, what)
    bridge.hope_again(listener.bridge)
    listener.wants_bridge = true
    listener.engine_ticks = what == "start_engine" and 0 or nil
  end,
  display = function(listener)
    display.close(listener.display)
    listener.display = display.new(settings.preferences().display)
  end,
}

-- Life

--- Take up what an earlier run left: jobs go on, finished results are offered.
local function take_up(listener, job_id)
  local job = not spool.has(job_id, "applied") and jobs.load(job_id)
  if not job then
    return
  end
  table.insert(listener.jobs, job)
  job.fraction = 0
  local has_result = spool.has(job_id, "result.json")
  local is_sent = spool.has(job_id, "request.json")
  job.stage = is_sent and "queued" or "reading"
  job.state = is_sent and "waiting" or "reading"
  job.is_cancelled = spool.has(job_id, "cancel")
  if not has_result then
    if not is_sent and not job.reading then
      -- The action ended before it sent anything.
      finish(job)
    end
    return
  end
  local result = spool.read_message(spool.job_path(job_id, "result.json"), job_id)
  if not result or not result.ok or job.is_cancelled then
    finish(job)
  else
    job.state, job.reason = "kept", "REAPER was closed before it came"
  end
end

---@return reapaint.Listener
function M.new()
  local listener = {
    token = channel.claim(),
    jobs = {},
    bridge = bridge.new(),
    display = display.new(settings.preferences().display),
    ticks = 0,
  }
  local words = channel.receive()
  local new = {}
  for _, word in ipairs(words) do
    new[word:match("^job (%x+)$") or ""] = true
  end
  for _, job_id in ipairs(spool.list_jobs()) do
    if not new[job_id] then
      take_up(listener, job_id)
    end
  end
  local kept = 0
  for _, job in ipairs(listener.jobs) do
    kept = kept + (job.state == "kept" and 1 or 0)
  end
  if kept > 0 then
    say(listener, string.format("%d results wait. Inpaint time selection offers them.", kept))
  end
  listener.words = words
  return listener
end

local function obey(listener)
  local words = listener.words
  if words then
    listener.words = nil
    for _, word in ipairs(channel.receive()) do
      words[#words + 1] = word
    end
  else
    words = channel.receive()
  end
  for _, word in ipairs(words) do
    local name, argument = word:match("^(%S+)%s*(.*)$")
    if WORDS[name] then
      WORDS[name](listener, argument)
    end
  end
end

local function guarded_step(listener, job, index)
  local step = job.apart_in and place_apart or STEPS[job.state]
  local ok, problem = xpcall(step, debug.traceback, listener, job, index)
  if not ok then
    -- One job's trouble must not end the others'.
    close(job)
    job.state, job.reason = "kept", "something unexpected happened"
    reaper.SetExtState("ReaPaint", "last_error", problem, false)
    local first_line = tostring(problem):match("[^\n]*")
    say(listener, "A job of ReaPaint stopped: " .. first_line)
  end
end

--- Readers and splices take their time one after the other, not all in one tick.
local function step_jobs(listener)
  local is_busy = false
  for index, job in ipairs(listener.jobs) do
    local is_heavy = job.state == "reading" or job.state == "opening"
    if STEPS[job.state] and not (is_heavy and is_busy) then
      local before = job.state
      guarded_step(listener, job, index)
      is_busy = is_busy or is_heavy or before ~= job.state
    end
  end
end

local function forget_done(listener)
  local open_jobs, kept, busy = {}, {}, 0
  for _, job in ipairs(listener.jobs) do
    if job.state ~= "done" then
      open_jobs[#open_jobs + 1] = job
    end
    if job.state == "kept" then
      kept[#kept + 1] = job.job_id
    elseif job.state ~= "done" then
      busy = busy + 1
    end
  end
  listener.jobs = open_jobs
  if busy ~= listener.busy then
    listener.busy = busy
    channel.set_jobs_under_way(busy)
  end
  local ids = table.concat(kept, " ")
  if ids ~= listener.kept then
    listener.kept = ids
    channel.set_kept(kept)
  end
  return busy
end

local function progress_lines(listener)
  local lines = {}
  for _, job in ipairs(listener.jobs) do
    if is_active(job) then
      local text = string.format("%s: %s", job.label, STAGES[job.stage] or job.stage)
      lines[#lines + 1] = { text = text, fraction = job.fraction }
    end
  end
  return lines
end

--- Say how starting the engine went, once a heartbeat can know of it.
local function report_engine(listener)
  local state = listener.bridge
  listener.engine_ticks = listener.engine_ticks + 1
  if listener.engine_ticks < ENGINE_NEWS_TICKS or not (state.is_alive and state.engine) then
    return
  elseif state.engine.state == "ready" then
    say(listener, "ReaPaint's engine is ready.")
  elseif state.engine.state == "unreachable" then
    say(listener, state.engine.message)
  else
    return
  end
  listener.engine_ticks = nil
end

local function see_to_bridge(listener, busy)
  bridge.tick(listener.bridge)
  if busy > 0 or listener.wants_bridge or listener.engine_ticks then
    listener.wants_bridge = false
    local ok, err = bridge.ensure(listener.bridge)
    if not ok then
      listener.engine_ticks = nil
      say(listener, errors.sentence(err))
    end
  end
  if listener.engine_ticks then
    report_engine(listener)
  end
end

--- One cycle. False when another listener took over.
---@param listener reapaint.Listener
---@return boolean
function M.tick(listener)
  if not channel.holds(listener.token) then
    return false
  end
  listener.ticks = listener.ticks + 1
  obey(listener)
  step_jobs(listener)
  see_to_bridge(listener, forget_done(listener))
  display.update(listener.display, progress_lines(listener), function()
    cancel_all(listener)
  end)
  return true
end

---@param listener reapaint.Listener
function M.close(listener)
  for _, job in ipairs(listener.jobs) do
    close(job)
  end
  display.close(listener.display)
  channel.release(listener.token)
end

--- Run until REAPER or a newer listener ends it.
function M.run()
  if reaper.set_action_options then
    -- Started again, the old one ends without asking.
    reaper.set_action_options(1 | 2)
  end
  local listener = M.new()
  reaper.atexit(function()
    M.close(listener)
  end)
  local function cycle()
    if M.tick(listener) then
      reaper.defer(cycle)
    end
  end
  cycle()
end

return M
