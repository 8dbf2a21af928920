--- The resident script: does what the actions ask for, follows jobs, shows how far they are.

local bridge = require("reapaint.bridge")
local channel = require("reapaint.channel")
local display = require("reapaint.display")
local job_steps = require("reapaint.job_steps")
local instances = require("reapaint.instances")
local jobs = require("reapaint.jobs")
local settings = require("reapaint.settings")
local spool = require("reapaint.spool")

local M = {}

---@class reapaint.Listener
---@field token string
---@field jobs reapaint.Pending[]
---@field instances reapaint.Instances
---@field bridge reapaint.BridgeState
---@field display reapaint.Display
---@field ticks integer
---@field words string[]? those that came before the first tick

local function say(listener, text)
  display.say(listener.display, text)
end

-- Words

local function add_job(listener, job_id)
  local job = jobs.load(job_id)
  if not job then
    return say(listener, "A job of ReaPaint got lost: its folder can't be read.")
  end
  job_steps.begin(listener, job)
  bridge.reset_retries(listener.bridge)
end

--- The jobs that this REAPER waits for, the oldest first.
local function own_jobs(listener)
  local own = {}
  for _, job in ipairs(listener.jobs) do
    if job_steps.is_active(job) and job_steps.is_own(listener, job) then
      own[#own + 1] = job
    end
  end
  return own
end

local function cancel_last(listener)
  local own = own_jobs(listener)
  if #own > 0 then
    job_steps.cancel(own[#own])
  end
  say(listener, #own > 0 and "Cancelled." or "Nothing to cancel.")
end

local function cancel_all(listener)
  local own = own_jobs(listener)
  for _, job in ipairs(own) do
    job_steps.cancel(job)
  end
  local count = #own
  say(listener, count > 0 and string.format("Cancelled %d.", count) or "Nothing to cancel.")
end

--- A word about a kept result.
local function about_kept(act)
  return function(listener, job_id)
    for _, job in ipairs(listener.jobs) do
      if job.job_id == job_id and job.state == "kept" then
        act(listener, job)
      end
    end
  end
end

local WORDS = {
  job = add_job,
  cancel = cancel_last,
  cancel_all = cancel_all,
  dismiss = about_kept(function(_, job)
    job_steps.finish(job)
  end),
  place = about_kept(job_steps.place),
  said = say,
  launch = function(listener, what)
    bridge.request(listener.bridge, what == "start_engine")
  end,
  display = function(listener)
    display.close(listener.display)
    listener.display = display.new(settings.preferences().display)
  end,
}

local function handle_words(listener)
  local words = listener.words or {}
  listener.words = nil
  for _, word in ipairs(channel.receive()) do
    words[#words + 1] = word
  end
  for _, word in ipairs(words) do
    local name, argument = word:match("^(%S+)%s*(.*)$")
    if WORDS[name] then
      WORDS[name](listener, argument)
    end
  end
end

-- What earlier runs left

local function has_good_result(job_id)
  local result = spool.read_of_job(job_id, "result.json")
  return result and result.ok
end

--- Take up what an earlier run of this REAPER left, or one that is gone: jobs go on, and what
--- came while REAPER was closed is offered.
local function take_up(listener, job)
  local is_own = job_steps.is_own(listener, job)
  local has_result = spool.has(job.job_id, "result.json")
  local is_sent = spool.has(job.job_id, "request.json")
  job_steps.begin(listener, job)
  if
    spool.has(job.job_id, "cancel")
    or (has_result and not has_good_result(job.job_id))
    or not (is_sent or has_result or job.reading)
  then
    -- The last: the action ended before it sent anything.
    job_steps.finish(job)
  elseif has_result and not is_own then
    job.state, job.reason = "kept", job_steps.CAME_WHILE_CLOSED
  elseif not is_own and job.state == "reading" then
    job.request.instance = listener.instances.own
    jobs.store(job)
  end
end

local function take_up_all(listener, job_ids)
  local kept = 0
  for _, job_id in ipairs(job_ids) do
    local job = not spool.has(job_id, "applied") and jobs.load(job_id)
    if job and not instances.leave_to_owner(listener.instances, job.request.instance, job_id) then
      take_up(listener, job)
      kept = kept + (job.state == "kept" and 1 or 0)
    end
  end
  if kept > 0 then
    local text = kept == 1 and "1 result waits. Inpaint time selection offers it."
      or string.format("%d results wait. Inpaint time selection offers them.", kept)
    say(listener, text)
  end
end

local function list_old_jobs(words)
  local new, old = {}, {}
  for _, word in ipairs(words) do
    new[word:match("^job (%x+)$") or ""] = true
  end
  for _, job_id in ipairs(spool.list_jobs()) do
    if not new[job_id] then
      old[#old + 1] = job_id
    end
  end
  return old
end

-- Life

---@return reapaint.Listener
function M.new()
  local listener = {
    token = channel.claim(),
    jobs = {},
    instances = instances.new(),
    bridge = bridge.new(),
    display = display.new(settings.preferences().display),
    ticks = 0,
    words = channel.receive(),
  }
  take_up_all(listener, list_old_jobs(listener.words))
  return listener
end

--- Drop the jobs that are done, and tell the actions of the others.
---@return integer busy
local function forget_done(listener)
  local open_jobs, kept, ids, busy = {}, {}, {}, 0
  for _, job in ipairs(listener.jobs) do
    if job.state == "kept" then
      kept[#kept + 1] = { job_id = job.job_id, reason = job.reason }
      ids[#ids + 1] = job.job_id
    elseif job.state ~= "done" then
      busy = busy + 1
    end
    if job.state ~= "done" then
      open_jobs[#open_jobs + 1] = job
    end
  end
  listener.jobs = open_jobs
  if busy ~= listener.busy then
    listener.busy = busy
    channel.set_jobs_under_way(busy)
  end
  local kept_ids = table.concat(ids, " ")
  if kept_ids ~= listener.kept_ids then
    listener.kept_ids = kept_ids
    channel.set_kept(kept)
  end
  return busy
end

local function progress_lines(listener)
  local lines = {}
  for index, job in ipairs(own_jobs(listener)) do
    local text = string.format("%s: %s", job.label, job_steps.STAGES[job.stage] or job.stage)
    lines[index] = { text = text, fraction = job.fraction }
  end
  return lines
end

--- One cycle. False when another listener took over.
---@param listener reapaint.Listener
---@return boolean
function M.tick(listener)
  if not channel.holds(listener.token) then
    return false
  end
  listener.ticks = listener.ticks + 1
  handle_words(listener)
  job_steps.step(listener)
  local busy = forget_done(listener)
  local news = bridge.tick(listener.bridge, busy > 0)
  if news then
    say(listener, news)
  end
  take_up_all(listener, instances.tick(listener.instances, #listener.jobs > 0))
  display.update(listener.display, progress_lines(listener), function()
    cancel_all(listener)
  end)
  return true
end

---@param listener reapaint.Listener
function M.close(listener)
  for _, job in ipairs(listener.jobs) do
    job_steps.close(job)
  end
  display.close(listener.display)
  if channel.holds(listener.token) then
    -- Another listener of this REAPER would go on to show life.
    instances.withdraw(listener.instances)
  end
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
