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
--- A bridge beats once a second: an older beat tells of an engine that was asked for before.
local ENGINE_NEWS_TICKS = 70

---@class reapaint.BridgeState
---@field beat integer?
---@field quiet_ticks integer since the beat changed
---@field is_alive boolean
---@field launches integer
---@field launch_ticks integer since the last launch
---@field engine { state: string, message: string }?
---@field foreign reapaint.Error? why this bridge and these scripts can't talk
---@field is_foreign_told boolean?
---@field is_wanted boolean? whether a person asked for it
---@field engine_ticks integer? since a person asked for the engine; nil once it was told of

---@return reapaint.BridgeState
function M.new()
  return { quiet_ticks = 0, is_alive = false, launches = 0, launch_ticks = 0 }
end

local function other_version(beat)
  return errors.new(
    "incompatible_version",
    string.format(
      "The bridge is of another version (protocol %s, these scripts %s).",
      tostring(beat.protocol),
      spool.PROTOCOL
    ),
    "Reinstall with `reapaint reaper install`, and restart REAPER."
  )
end

local function look(state)
  local beat, _, foreign = spool.read_message(spool.heartbeat_path())
  local seen = beat or foreign
  if not seen then
    return
  end
  local changed = state.beat ~= nil and seen.beat ~= state.beat
  state.beat = seen.beat
  state.engine = beat and beat.engine
  if changed then
    state.quiet_ticks, state.is_alive, state.launches = 0, true, 0
    state.foreign = foreign and other_version(foreign) or nil
    state.is_foreign_told = state.is_foreign_told and foreign ~= nil
  end
end

--- Count a tick, and look at the heartbeat now and then.
local function count_tick(state)
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
local function quote(text)
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
  local words = { quote(launch.python) }
  for _, argument in ipairs(launch.arguments) do
    words[#words + 1] = quote(argument)
  end
  return table.concat(words, " ")
end

--- Whether an installation of the first version wrote this: its program had another name.
---@param arguments string[]
local function has_old_name(arguments)
  for index, argument in ipairs(arguments) do
    local is_module = argument == "-m" and arguments[index + 1] == "bridge"
    if is_module or argument:match("bridge%.pyw$") then
      return true
    end
  end
  return false
end

local function not_installed(message)
  return errors.new("not_installed", message, "Run `reapaint reaper install` in a terminal.")
end

local function launch()
  local found, err = spool.read_message(spool.launch_path())
  if not found then
    if err.code ~= "missing_file" then
      return nil, err
    end
    return nil, not_installed("ReaPaint does not know where its Python program is.")
  elseif type(found.python) ~= "string" or type(found.arguments) ~= "table" then
    return nil, not_installed("launch.json is damaged.")
  elseif has_old_name(found.arguments) then
    return nil, not_installed("ReaPaint was updated, and REAPER still starts the version before.")
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
---@return boolean?, reapaint.Error? once, when it can't be
local function ensure(state)
  if state.is_alive and state.foreign then
    if state.is_foreign_told then
      return true
    end
    state.is_foreign_told = true
    return nil, state.foreign
  end
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

---@class reapaint.Backend
---@field name string
---@field modes string[]
---@field models string[]

local function texts(list)
  local found = {}
  for _, text in ipairs(type(list) == "table" and list or {}) do
    found[#found + 1] = type(text) == "string" and text or nil
  end
  return found
end

--- What the engine can do, as the bridge last said; none where it knows of no engine.
---@return reapaint.Backend[]
function M.backends()
  local beat = spool.read_message(spool.heartbeat_path())
  local backends = {}
  for _, each in ipairs(beat and type(beat.backends) == "table" and beat.backends or {}) do
    if type(each) == "table" and type(each.name) == "string" then
      local backend = { name = each.name, modes = texts(each.modes), models = texts(each.models) }
      backends[#backends + 1] = backend
    end
  end
  return backends
end

--- Let a new job, or a person, try again what was given up.
---@param state reapaint.BridgeState
function M.reset_retries(state)
  state.is_foreign_told = false
  if state.launches > MAX_LAUNCHES then
    state.launches = 0
  end
end

--- See to what a person asked of the bridge.
---@param state reapaint.BridgeState
---@param is_engine boolean whether to tell how starting the engine went
function M.request(state, is_engine)
  M.reset_retries(state)
  state.is_wanted = true
  state.engine_ticks = is_engine and 0 or nil
end

--- Tell how starting the engine went, once a heartbeat can know of it.
local function engine_news(state)
  state.engine_ticks = state.engine_ticks + 1
  if state.engine_ticks < ENGINE_NEWS_TICKS or not (state.is_alive and state.engine) then
    return nil
  elseif state.engine.state == "ready" then
    return "ReaPaint's engine is ready."
  elseif state.engine.state == "unreachable" then
    return state.engine.message
  end
  return nil
end

--- One tick: keep a bridge running while it is needed.
---@param state reapaint.BridgeState
---@param has_jobs boolean
---@return string? news for the person
function M.tick(state, has_jobs)
  count_tick(state)
  if has_jobs or state.is_wanted or state.engine_ticks then
    state.is_wanted = false
    local ok, err = ensure(state)
    if not ok then
      state.engine_ticks = nil
      return errors.sentence(err)
    end
  end
  local news = state.engine_ticks and engine_news(state)
  if news then
    state.engine_ticks = nil
  end
  return news or nil
end

return M
