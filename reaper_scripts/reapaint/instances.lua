--- The REAPERs that share one resource folder, and so one spool: each follows its own jobs.
---
--- A REAPER that has jobs shows that it lives by a file whose content changes. Whoever comes
--- later leaves its jobs alone until it is gone; jobs of one that is gone are taken up.

local channel = require("reapaint.channel")
local json = require("reapaint.json")
local spool = require("reapaint.spool")

local M = {}

-- Ticks of 31 ms, for the reasons told in `bridge`.
local BEAT_TICKS = 32
--- A modal window holds a REAPER up that lives: what is taken up too early is only offered.
local GONE_TICKS = 10 * BEAT_TICKS

---@class reapaint.Other
---@field jobs string[]
---@field beat integer
---@field quiet_ticks integer

---@class reapaint.Instances
---@field own string
---@field beat integer
---@field ticks integer
---@field others table<string, reapaint.Other>

---@return reapaint.Instances
function M.new()
  return { own = channel.instance(), beat = 0, ticks = 0, others = {} }
end

local function read_beat(instance)
  local life = spool.read_message(spool.life_path(instance))
  return life and math.tointeger(life.beat)
end

local function write_beat(instance, beat)
  local life = { protocol = spool.PROTOCOL, instance = instance, beat = beat }
  -- A full disk costs a beat, and the jobs say it.
  spool.replace(spool.life_path(instance), json.encode(life))
end

--- Show that this REAPER lives, before its first job can be seen: another one may look at any
--- moment.
function M.announce()
  local own = channel.instance()
  if not reaper.file_exists(spool.life_path(own)) then
    reaper.RecursiveCreateDirectory(spool.root() .. "/spool", 0)
    write_beat(own, 0)
  end
end

--- Leave a job to the REAPER that made it while that shows life: `tick` returns it when it no
--- longer does.
---@param state reapaint.Instances
---@param instance string?
---@param job_id string
---@return boolean whether it is left
function M.leave_to_owner(state, instance, job_id)
  if type(instance) ~= "string" or not instance:match("^[%w{}-]+$") or instance == state.own then
    return false
  end
  local other = state.others[instance]
  if not other then
    local beat = read_beat(instance)
    if not beat then
      return false
    end
    other = { jobs = {}, beat = beat, quiet_ticks = 0 }
    state.others[instance] = other
  end
  table.insert(other.jobs, job_id)
  return true
end

local function show_life(state, has_jobs)
  if has_jobs then
    state.beat = state.beat + 1
    write_beat(state.own, state.beat)
  elseif reaper.file_exists(spool.life_path(state.own)) then
    M.withdraw(state)
  end
end

--- Show life where there are jobs, and look who has gone.
---@param state reapaint.Instances
---@param has_jobs boolean
---@return string[] orphans the jobs of those that are gone
function M.tick(state, has_jobs)
  local orphans = {}
  if state.ticks % BEAT_TICKS == 0 then
    show_life(state, has_jobs)
    for instance, other in pairs(state.others) do
      local beat = read_beat(instance)
      other.quiet_ticks = beat == other.beat and other.quiet_ticks + BEAT_TICKS or 0
      other.beat = beat
      if not beat or other.quiet_ticks >= GONE_TICKS then
        os.remove(spool.life_path(instance))
        state.others[instance] = nil
        table.move(other.jobs, 1, #other.jobs, #orphans + 1, orphans)
      end
    end
  end
  state.ticks = state.ticks + 1
  return orphans
end

--- Show no life any more.
---@param state reapaint.Instances
function M.withdraw(state)
  os.remove(spool.life_path(state.own))
  state.beat = 0
end

return M
