--- What a person chose, kept between runs in REAPER's extended state.

local errors = require("reapaint.errors")
local json = require("reapaint.json")
local parameters = require("reapaint.parameters")

local M = {}

local SECTION = "ReaPaint"
local HISTORY_LENGTH = 12

--- By the names in parameters.lua; nil where the engine decides.
---@alias reapaint.Settings table<string, any>

---@type reapaint.Parameter[] what a person chooses that no request carries
local PREFERENCES = {
  {
    name = "vary_strength",
    title = "Strength of Vary",
    type = "number",
    default = 0.5,
    low = 0,
    high = 1,
  },
  { name = "display", title = "Progress", type = "string", default = "auto" },
}

local BY_NAME = {}
for _, list in ipairs({ parameters, PREFERENCES }) do
  for _, parameter in ipairs(list) do
    BY_NAME[parameter.name] = parameter
  end
end

--- All that can be chosen, the request's parameters first.
---@return reapaint.Parameter[]
function M.all()
  local all = {}
  for _, list in ipairs({ parameters, PREFERENCES }) do
    table.move(list, 1, #list, #all + 1, all)
  end
  return all
end

---@param name string
---@return reapaint.Parameter
function M.parameter(name)
  return BY_NAME[name]
end

--- A number as a person typed it; nil and no error where an optional one is empty.
---@param key string
---@param text string
---@return number?, reapaint.Error?
function M.parse_number(key, text)
  local parameter = BY_NAME[key]
  local is_whole = parameter.type == "integer"
  local trimmed = text:match("^%s*(.-)%s*$")
  if trimmed == "" and parameter.optional then
    return nil
  end
  local value = tonumber((trimmed:gsub(",", ".")))
  local whole = value and math.tointeger(value)
  if
    not value
    or value ~= value
    or value < parameter.low
    or value > parameter.high
    or (is_whole and not whole)
  then
    local kind = is_whole and "whole number" or "number"
    local message = "%s must be a %s from %d to %d, not %q."
    return nil,
      errors.new(
        "invalid_setting",
        message:format(parameter.title, kind, parameter.low, parameter.high, trimmed),
        parameter.optional and "Leave it empty to let the engine choose." or ""
      )
  end
  return is_whole and whole or value
end

---@alias reapaint.Choices fun(key: string, parsed: table): string[] none where anything may do

--- What there is to choose from: modes and models are those of the chosen backend.
---@param backends reapaint.Backend[]
---@return reapaint.Choices
function M.choices(backends)
  return function(key, parsed)
    if key == "display" then
      return { "auto", "tooltip", "window" }
    end
    local found, seen = {}, {}
    local function add(name)
      if not seen[name] then
        seen[name] = true
        found[#found + 1] = name
      end
    end
    for _, backend in ipairs(backends) do
      local is_meant = parsed.backend == nil or parsed.backend == backend.name
      if key == "backend" then
        add(backend.name)
      elseif is_meant and (key == "mode" or key == "model") then
        for _, name in ipairs(backend[key .. "s"]) do
          add(name)
        end
      end
    end
    return found
  end
end

--- Check a word against what there is.
---@param key string
---@param word string?
---@param choices string[]
---@return boolean?, reapaint.Error?
function M.check_choice(key, word, choices)
  if word == nil or #choices == 0 or word == M.default(key) then
    return true
  end
  if key == "model" and word:find("[/\\+]") then
    return true -- of folders and adapters the engine alone knows
  end
  for _, choice in ipairs(choices) do
    if choice == word then
      return true
    end
  end
  local message = "%s can't be %q: choose %s."
  message = message:format(BY_NAME[key].title, word, table.concat(choices, ", "))
  return nil, errors.new("invalid_setting", message)
end

local function load(key)
  local value = json.decode(reaper.GetExtState(SECTION, key))
  return type(value) == "table" and value or {}
end

local function save(key, value)
  -- What persists must stand on one line, as JSON does.
  reaper.SetExtState(SECTION, key, json.encode(value), true)
end

--- What an empty field means.
---@param key string
---@return any
function M.default(key)
  return BY_NAME[key].default
end

---@param values table settings as read from JSON
---@return reapaint.Settings
function M.complete(values)
  local settings = {}
  for _, parameter in ipairs(parameters) do
    local value = json.value(values[parameter.name])
    if value == nil then
      value = parameter.default
    end
    settings[parameter.name] = value
  end
  return settings
end

--- What a job with these settings is called: its prompt, or what it does without one.
---@param settings reapaint.Settings
---@return string
function M.label(settings)
  return settings.prompt ~= "" and settings.prompt or "fill from surroundings"
end

--- The settings as they stand in a request, null where the engine decides.
---@param settings reapaint.Settings
---@return table
function M.as_message(settings)
  local message = {}
  for _, parameter in ipairs(parameters) do
    local value = settings[parameter.name]
    message[parameter.name] = value == nil and json.null or value
  end
  return message
end

--- The settings for the next job: the last ones, without its seed.
---@return reapaint.Settings
function M.last()
  local settings = M.complete(load("settings"))
  settings.seed = nil
  return settings
end

--- Settings with some fields changed.
---@param settings reapaint.Settings
---@param changes table
---@return reapaint.Settings
function M.with(settings, changes)
  local changed = M.complete(settings)
  for key, value in pairs(changes) do
    changed[key] = json.value(value)
  end
  return changed
end

---@param settings reapaint.Settings
function M.remember(settings)
  save("settings", M.as_message(settings))
  if settings.prompt == "" then
    return
  end
  local history = json.list({ settings.prompt })
  for _, prompt in ipairs(load("history")) do
    if prompt ~= settings.prompt and #history < HISTORY_LENGTH then
      history[#history + 1] = prompt
    end
  end
  save("history", history)
end

--- The prompts of before, the latest first.
---@return string[]
function M.history()
  return load("history")
end

---@return { vary_strength: number, display: "auto"|"tooltip"|"window" }
function M.preferences()
  local loaded = load("preferences")
  local preferences = {}
  for _, preference in ipairs(PREFERENCES) do
    local value = json.value(loaded[preference.name])
    preferences[preference.name] = value == nil and preference.default or value
  end
  return preferences
end

---@param preferences table
function M.set_preferences(preferences)
  save("preferences", preferences)
end

--- Keep a take's settings for the next prompt, its seed included.
---@param settings reapaint.Settings
function M.recall(settings)
  reaper.SetExtState(SECTION, "recalled", json.encode(M.as_message(settings)), false)
end

--- The recalled settings, once.
---@return reapaint.Settings?
function M.take_recalled()
  local text = reaper.GetExtState(SECTION, "recalled")
  if text == "" then
    return nil
  end
  reaper.DeleteExtState(SECTION, "recalled", false)
  local values = json.decode(text)
  return type(values) == "table" and M.complete(values) or nil
end

return M
