--- The bridge beside REAPER: whether it lives, and how it is started.

local errors = require("reapaint.errors")
local spool = require("reapaint.spool")

local M = {}

-- All waits are counted in the listener's own ticks of 31 ms: a clock may step, and a modal
-- window stops these scripts for minutes without the bridge being ill.
local LOOK_EVERY_TICKS = 10
local DEAD_AFTER_TICKS = 160
local LAUNCH_AGAIN_TICKS = 480
local MAX_LAUNCHES = 3

---@class reapaint.BridgeState
---@field beat integer?
---@field quiet_ticks integer since the beat changed
---@field is_alive boolean
---@field launches integer
---@field launch_ticks integer since the last launch
---@field engine { state: string, message: string }?
---@field backends table?

---@return reapaint.BridgeState
function M.new()
  return { quiet_ticks = 0, is_alive = false, launches = 0, launch_ticks = 0 }
end

local function look(state)
  local beat = spool.read_message(spool.heartbeat_path())
  if not beat then
    return
  end
  local changed = state.beat ~= nil and beat.beat ~= state.beat
  state.beat = beat.beat
  state.engine = beat.engine
  state.backends = beat.backends
  if changed then
    state.quiet_ticks, state.is_alive, state.launches = 0, true, 0
  end
end

--- Count a tick, and look at the heartbeat now and then.
---@param state reapaint.BridgeState
function M.tick(state)
  state.quiet_ticks = state.quiet_ticks + 1
  state.launch_ticks = state.launch_ticks + 1
  if state.quiet_ticks % LOOK_EVERY_TICKS == 1 then
    look(state)
  end
  if state.quiet_ticks > DEAD_AFTER_TICKS then
    state.is_alive = false
  end
end

--- One argument as both CreateProcess and a plain split of words read it.
local function quoted(text)
  if text:find('"', 1, true) then
    return "'" .. text .. "'"
  elseif text:find("[%s']") or text == "" then
    return '"' .. text:gsub("\\$", "\\\\") .. '"'
  end
  return text
end

---@param launch { python: string, arguments: string[] }
---@return string
function M.command_line(launch)
  local words = { quoted(launch.python) }
  for _, argument in ipairs(launch.arguments) do
    words[#words + 1] = quoted(argument)
  end
  return table.concat(words, " ")
end

local function launch()
  local found, err = spool.read_message(spool.launch_path())
  if not found then
    if err.code ~= "missing_file" then
      return nil, err
    end
    return nil,
      errors.new(
        "not_installed",
        "ReaPaint does not know where its Python program is.",
        "Run `reapaint reaper install` in a terminal."
      )
  elseif type(found.python) ~= "string" or type(found.arguments) ~= "table" then
    return nil,
      errors.new(
        "not_installed",
        "launch.json is damaged.",
        "Run `reapaint reaper install` in a terminal."
      )
  end
  -- -2: no waiting, no window in front. What it returns says nothing about the program's life.
  if not reaper.ExecProcess(M.command_line(found), -2) then
    return nil,
      errors.new(
        "bridge_not_started",
        string.format("REAPER could not start %s.", found.python),
        "Run `reapaint doctor` in a terminal."
      )
  end
  return true
end

--- See that a bridge runs. A second one that is started by mistake ends at its lock.
---@param state reapaint.BridgeState
---@return boolean?, reapaint.Error? once, when it can't be
function M.ensure(state)
  local waits = state.launches > 0 and state.launch_ticks < LAUNCH_AGAIN_TICKS
  if state.is_alive or waits or state.launches > MAX_LAUNCHES then
    return true
  end
  state.launches = state.launches + 1
  state.launch_ticks = 0
  if state.launches > MAX_LAUNCHES then
    return nil,
      errors.new(
        "bridge_silent",
        "ReaPaint's bridge does not answer; your job waits.",
        "Run `reapaint doctor` in a terminal."
      )
  end
  return launch()
end

--- Let a new job try again what an older one gave up.
---@param state reapaint.BridgeState
function M.hope_again(state)
  if state.launches > MAX_LAUNCHES then
    state.launches = 0
  end
end

return M
