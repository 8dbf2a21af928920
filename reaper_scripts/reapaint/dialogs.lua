--- What is asked of a person: the few modal windows, opened only by actions that are for asking.

local channel = require("reapaint.channel")
local errors = require("reapaint.errors")
local settings = require("reapaint.settings")

local M = {}

local TITLE = "ReaPaint"
--- Prompts hold commas; lines they do not.
local OPTIONS = ",extrawidth=300,separator=\n"
local YES_NO_CANCEL = 3
local ANSWERS = { [6] = "yes", [7] = "no" }

local function one_line(text)
  return (text:gsub("[\r\n]+", " "))
end

local function number_text(value)
  return value and string.format("%.6g", value) or ""
end

--- Ask for some fields; nil when the person thought better of it.
---@param title string
---@param captions string[]
---@param values string[]
---@return string[]?
local function ask(title, captions, values)
  local defaults = {}
  for index, value in ipairs(values) do
    defaults[index] = one_line(value)
  end
  local ok, text = reaper.GetUserInputs(
    title,
    #captions,
    table.concat(captions, ",") .. OPTIONS,
    table.concat(defaults, "\n")
  )
  channel.forgive_silence()
  if not ok then
    return nil
  end
  local answers = {}
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    answers[#answers + 1] = line
  end
  return answers
end

---@param text string
function M.tell(text)
  reaper.MB(text, TITLE, 0)
  channel.forgive_silence()
end

---@param text string
---@return "yes"|"no"|nil
function M.yes_no_cancel(text)
  local answer = reaper.MB(text, TITLE, YES_NO_CANCEL)
  channel.forgive_silence()
  return ANSWERS[answer]
end

--- Choose one of the earlier prompts from a menu at the mouse.
---@return string?
local function choose_from_history()
  local history, entries = settings.history(), {}
  if #history == 0 then
    return nil
  end
  for index, prompt in ipairs(history) do
    -- These characters mean something to a menu.
    entries[index] = " " .. prompt:gsub("[|]", "/")
  end
  gfx.init("", 0, 0)
  gfx.x, gfx.y = gfx.mouse_x, gfx.mouse_y
  local chosen = gfx.showmenu(table.concat(entries, "|"))
  gfx.quit()
  return history[chosen]
end

local PROMPT_FIELDS = {
  "Prompt (? = earlier ones)",
  "Leave out",
  "Takes (1-16)",
  "Strength (0-1)",
  "Seed (empty = new)",
}

local function parse_prompt(answers, before)
  local changes = { prompt = answers[1], negative_prompt = answers[2] }
  for index, key in ipairs({ "takes", "strength", "seed" }) do
    local value, err = settings.parse_number(key, answers[index + 2])
    if err then
      return nil, err
    end
    changes[key] = value
  end
  local chosen = settings.with(before, changes)
  chosen.seed = changes.seed
  return chosen
end

--- Ask what to paint. A slip is said, and asked again.
---@param before reapaint.Settings
---@return reapaint.Settings? nil when the person cancelled
function M.prompt(before)
  local values = {
    before.prompt,
    before.negative_prompt,
    number_text(before.takes),
    number_text(before.strength),
    before.seed and string.format("%d", before.seed) or "",
  }
  while true do
    local answers = ask("ReaPaint: inpaint", PROMPT_FIELDS, values)
    if not answers then
      return nil
    elseif answers[1] == "?" then
      answers[1] = choose_from_history() or before.prompt
      values = answers
    else
      local chosen, err = parse_prompt(answers, before)
      if chosen then
        return chosen
      end
      M.tell(errors.sentence(err))
      values = answers
    end
  end
end

local SETTING_FIELDS = {
  { "backend", "Backend (empty = the engine's)" },
  { "model", "Model (empty = the engine's)" },
  { "mode", "Mode" },
  { "steps", "Steps (empty = the model's)" },
  { "guidance", "Guidance (empty = the model's)" },
  { "crossfade_s", "Crossfade in seconds (empty = 0.03)" },
  { "context_s", "Context in seconds (empty = enough)" },
  { "match_level", "Match the level (y or n)" },
  { "vary_strength", "Strength of Vary (0-1)" },
  { "display", "Progress: auto or tooltip or window" },
}
local DISPLAYS = { auto = true, tooltip = true, window = true }

local function setting_text(key, value)
  if value == nil then
    return ""
  elseif key == "match_level" then
    return value and "y" or "n"
  end
  return type(value) == "number" and number_text(value) or value
end

local function parse_setting(key, text)
  if key == "match_level" then
    return text:lower():match("^%s*[y1t]") ~= nil
  elseif key == "display" then
    return DISPLAYS[text] and text or "auto"
  elseif key == "mode" then
    return text ~= "" and text or "auto"
  elseif key == "backend" or key == "model" then
    return text ~= "" and text or nil
  end
  return settings.parse_number(key, text)
end

local function parse_settings(answers)
  local parsed = {}
  for index, field in ipairs(SETTING_FIELDS) do
    local value, err = parse_setting(field[1], answers[index] or "")
    if err then
      return nil, err
    end
    parsed[field[1]] = value
  end
  return parsed
end

--- Ask for all settings but the prompt.
---@param before reapaint.Settings
---@param preferences table
---@return reapaint.Settings?, table? preferences
function M.settings(before, preferences)
  local captions, values = {}, {}
  for index, field in ipairs(SETTING_FIELDS) do
    local key = field[1]
    local value = preferences[key]
    if value == nil then
      value = before[key]
    end
    captions[index], values[index] = field[2], setting_text(key, value)
  end
  while true do
    local answers = ask("ReaPaint: settings", captions, values)
    if not answers then
      return nil
    end
    local parsed, err = parse_settings(answers)
    if parsed then
      local chosen = settings.with(before, {})
      for _, field in ipairs(SETTING_FIELDS) do
        local key = field[1]
        if preferences[key] ~= nil then
          preferences[key] = parsed[key]
        else
          chosen[key] = parsed[key]
        end
      end
      return chosen, preferences
    end
    M.tell(errors.sentence(err))
    values = answers
  end
end

return M
