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

--- Choose one of some texts from a menu at the mouse.
---@param texts string[]
---@return string?
local function choose(texts)
  if #texts == 0 then
    return nil
  end
  local entries = {}
  for index, text in ipairs(texts) do
    -- These characters mean something to a menu; a space keeps those at the start harmless.
    entries[index] = " " .. text:gsub("[|]", "/")
  end
  gfx.init("", 0, 0)
  gfx.x, gfx.y = gfx.mouse_x, gfx.mouse_y
  local chosen = gfx.showmenu(table.concat(entries, "|"))
  gfx.quit()
  channel.forgive_silence()
  return texts[chosen]
end

--- What an input is called, with its limits or with what an empty one means. A comma would begin
--- another caption.
---@param parameter reapaint.Parameter
---@return string
local function caption(parameter)
  local note
  if parameter.if_open then
    note = "empty = " .. parameter.if_open
  elseif parameter.low then
    note = string.format("%d-%d", parameter.low, parameter.high)
  elseif parameter.type == "boolean" then
    note = "y or n"
  else
    note = "empty = " .. parameter.default
  end
  return string.format("%s (%s)", parameter.title, note)
end

--- What is asked before every job; the numbers come after the two texts.
local PROMPT_NUMBERS = { "takes", "strength", "seed" }
local PROMPT_CAPTIONS = { "Prompt (? = earlier ones)", "Leave out" }
local IN_PROMPT = { prompt = true, negative_prompt = true }
for _, name in ipairs(PROMPT_NUMBERS) do
  PROMPT_CAPTIONS[#PROMPT_CAPTIONS + 1] = caption(settings.parameter(name))
  IN_PROMPT[name] = true
end

--- What is asked in the window of settings: all the rest.
local SETTING_FIELDS = {}
for _, parameter in ipairs(settings.all()) do
  if not IN_PROMPT[parameter.name] then
    SETTING_FIELDS[#SETTING_FIELDS + 1] = parameter
  end
end

local function parse_prompt(answers, before)
  local changes = { prompt = answers[1], negative_prompt = answers[2] }
  for index, key in ipairs(PROMPT_NUMBERS) do
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
    local answers = ask("ReaPaint: inpaint", PROMPT_CAPTIONS, values)
    if not answers then
      return nil
    elseif answers[1] == "?" then
      answers[1] = choose(settings.history()) or before.prompt
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

local function setting_text(parameter, value)
  if value == nil then
    return ""
  elseif parameter.type == "boolean" then
    return value and "y" or "n"
  end
  return type(value) == "number" and number_text(value) or value
end

local function parse_setting(parameter, text)
  if parameter.type == "boolean" then
    return text:lower():match("^%s*[y1t]") ~= nil
  elseif parameter.type ~= "string" then
    return settings.parse_number(parameter.name, text)
  end
  local word = text:match("^%s*(.-)%s*$")
  if word == "" then
    return parameter.default
  end
  return word
end

--- Answer every question mark by a menu; what is not chosen stays as it was.
---@return boolean whether there was one
local function answer_questions(answers, values, choices)
  local parsed, asked = {}, false
  for index, parameter in ipairs(SETTING_FIELDS) do
    if parameter.type == "string" then
      if (answers[index] or ""):match("^%s*%?%s*$") then
        asked = true
        local there = choices(parameter.name, parsed)
        if #there == 0 then
          M.tell("What there is to choose from is known once the engine runs: Start engine.")
        end
        answers[index] = choose(there) or values[index]
      end
      parsed[parameter.name] = parse_setting(parameter, answers[index] or "")
    end
  end
  return asked
end

local function parse_settings(answers, choices)
  local parsed = {}
  for index, parameter in ipairs(SETTING_FIELDS) do
    local name = parameter.name
    local value, err = parse_setting(parameter, answers[index] or "")
    if not err and parameter.type == "string" then
      local _
      _, err = settings.check_choice(name, value, choices(name, parsed))
    end
    if err then
      return nil, err
    end
    parsed[name] = value
  end
  return parsed
end

local function split_preferences(parsed, before, preferences)
  local chosen = settings.with(before, {})
  for _, parameter in ipairs(SETTING_FIELDS) do
    local name = parameter.name
    local target = preferences[name] ~= nil and preferences or chosen
    target[name] = parsed[name]
  end
  return chosen, preferences
end

local function setting_fields(before, preferences)
  local captions, values = {}, {}
  for index, parameter in ipairs(SETTING_FIELDS) do
    local value = preferences[parameter.name]
    if value == nil then
      value = before[parameter.name]
    end
    captions[index], values[index] = caption(parameter), setting_text(parameter, value)
  end
  return captions, values
end

--- Ask for all settings but the prompt.
---@param before reapaint.Settings
---@param preferences table
---@param choices reapaint.Choices
---@return reapaint.Settings?, table? preferences
function M.settings(before, preferences, choices)
  local captions, values = setting_fields(before, preferences)
  while true do
    local answers = ask("ReaPaint: settings (? offers what there is)", captions, values)
    if not answers then
      return nil
    elseif not answer_questions(answers, values, choices) then
      local parsed, err = parse_settings(answers, choices)
      if parsed then
        return split_preferences(parsed, before, preferences)
      end
      M.tell(errors.sentence(err))
    end
    values = answers
  end
end

return M
