--- JSON, for the messages shared with the bridge.
---
--- Numbers are written with 17 digits, so that both languages hold the same double. A null
--- in a list or object is `json.null`; `json.list` marks a table that is a list when empty.

local M = {}

M.null = setmetatable({}, {
  __tostring = function()
    return "null"
  end,
})

local LIST = { __name = "json.list" }
local MAX_DEPTH = 100
local REPLACEMENT = "\u{FFFD}"

--- Mark a table as a list, which matters when it is empty.
---@generic T: table
---@param items T?
---@return T
function M.list(items)
  return setmetatable(items or {}, LIST)
end

--- A field's value, with null as nil.
---@param value any
---@return any
function M.value(value)
  if value == M.null then
    return nil
  end
  return value
end

local ESCAPES = {
  ['"'] = '\\"',
  ["\\"] = "\\\\",
  ["\b"] = "\\b",
  ["\f"] = "\\f",
  ["\n"] = "\\n",
  ["\r"] = "\\r",
  ["\t"] = "\\t",
}

local function escape(char)
  return ESCAPES[char] or string.format("\\u%04x", char:byte())
end

--- The text with every byte that is no UTF-8 replaced: names from old files may hold such.
---@param text string
---@return string
function M.clean_utf8(text)
  local ok, bad = utf8.len(text)
  if ok then
    return text
  end
  local pieces, start = {}, 1
  while bad do
    pieces[#pieces + 1] = text:sub(start, bad - 1) .. REPLACEMENT
    start = bad + 1
    ok, bad = utf8.len(text, start)
    if ok then
      break
    end
  end
  return table.concat(pieces) .. text:sub(start)
end

local function number_text(value)
  if value ~= value or value == math.huge or value == -math.huge then
    error("a number that JSON cannot hold")
  end
  if math.type(value) == "integer" then
    return string.format("%d", value)
  end
  -- A host that set a locale may write a decimal comma.
  return (string.format("%.17g", value):gsub(",", "."))
end

local encode_value

local function encode_list(items, depth)
  local parts = {}
  for index = 1, #items do
    parts[index] = encode_value(items[index], depth)
  end
  return "[" .. table.concat(parts, ",") .. "]"
end

local function encode_object(object, depth)
  local keys, parts = {}, {}
  for key in pairs(object) do
    if type(key) ~= "string" then
      error("an object's key is a " .. type(key))
    end
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for index, key in ipairs(keys) do
    parts[index] = encode_value(key, depth) .. ":" .. encode_value(object[key], depth)
  end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode_value(value, depth)
  local kind = type(value)
  if value == nil or value == M.null then
    return "null"
  elseif kind == "string" then
    return '"' .. M.clean_utf8(value):gsub('[%c"\\\127]', escape) .. '"'
  elseif kind == "number" then
    return number_text(value)
  elseif kind == "boolean" then
    return tostring(value)
  elseif kind ~= "table" then
    error("a " .. kind .. " has no form in JSON")
  elseif depth >= MAX_DEPTH then
    error("nested too deeply")
  elseif getmetatable(value) == LIST or #value > 0 then
    return encode_list(value, depth + 1)
  end
  return encode_object(value, depth + 1)
end

--- Write a value as JSON; keys are sorted, so that equal values give equal texts.
---@param value any
---@return string
function M.encode(value)
  return encode_value(value, 0)
end

local UNESCAPES = {
  ['"'] = '"',
  ["\\"] = "\\",
  ["/"] = "/",
  b = "\b",
  f = "\f",
  n = "\n",
  r = "\r",
  t = "\t",
}

local function fail(position, what)
  error({ json = string.format("%s at byte %d", what, position) }, 0)
end

local function skip(text, position)
  return text:match("^[ \t\r\n]*()", position)
end

local function hex_unit(text, position)
  local digits = text:match("^%x%x%x%x", position)
  if not digits then
    fail(position, "a broken \\u escape")
  end
  return tonumber(digits, 16)
end

--- A \u escape, or two that form one character beyond U+FFFF.
local function decode_escape(text, position)
  local unit = hex_unit(text, position)
  position = position + 4
  if unit >= 0xD800 and unit < 0xDC00 and text:sub(position, position + 1) == "\\u" then
    local low = hex_unit(text, position + 2)
    if low >= 0xDC00 and low < 0xE000 then
      return utf8.char(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)), position + 6
    end
  end
  if unit >= 0xD800 and unit < 0xE000 then
    return REPLACEMENT, position
  end
  return utf8.char(unit), position
end

local function decode_string(text, position)
  local parts = {}
  while true do
    local plain, stop = text:match('^([^"\\%c]*)()', position)
    parts[#parts + 1] = plain
    local char = text:sub(stop, stop)
    if char == '"' then
      return table.concat(parts), stop + 1
    elseif char ~= "\\" then
      if char == "\127" then
        parts[#parts + 1] = char
        position = stop + 1
      else
        fail(stop, "an unfinished string")
      end
    else
      local code = text:sub(stop + 1, stop + 1)
      if code == "u" then
        parts[#parts + 1], position = decode_escape(text, stop + 2)
      elseif UNESCAPES[code] then
        parts[#parts + 1], position = UNESCAPES[code], stop + 2
      else
        fail(stop, "an unknown escape")
      end
    end
  end
end

local function decode_number(text, position)
  local digits, stop = text:match("^(-?%d+%.?%d*[eE]?[+-]?%d*)()", position)
  local value = digits and tonumber(digits)
  if not value then
    fail(position, "an unexpected character")
  end
  return value, stop
end

local decode_value

local function decode_list(text, position, depth)
  local items = M.list()
  position = skip(text, position + 1)
  if text:sub(position, position) == "]" then
    return items, position + 1
  end
  while true do
    items[#items + 1], position = decode_value(text, position, depth)
    position = skip(text, position)
    local char = text:sub(position, position)
    if char == "]" then
      return items, position + 1
    elseif char ~= "," then
      fail(position, "an unfinished list")
    end
    position = position + 1
  end
end

local function decode_object(text, position, depth)
  local object = {}
  position = skip(text, position + 1)
  if text:sub(position, position) == "}" then
    return object, position + 1
  end
  while true do
    position = skip(text, position)
    if text:sub(position, position) ~= '"' then
      fail(position, "an object's key is missing")
    end
    local key
    key, position = decode_string(text, position + 1)
    position = skip(text, position)
    if text:sub(position, position) ~= ":" then
      fail(position, "a colon is missing")
    end
    object[key], position = decode_value(text, position + 1, depth)
    position = skip(text, position)
    local char = text:sub(position, position)
    if char == "}" then
      return object, position + 1
    elseif char ~= "," then
      fail(position, "an unfinished object")
    end
    position = position + 1
  end
end

local WORDS = { { "true", true }, { "false", false }, { "null", M.null } }

function decode_value(text, position, depth)
  if depth > MAX_DEPTH then
    fail(position, "nested too deeply")
  end
  position = skip(text, position)
  local char = text:sub(position, position)
  if char == "{" then
    return decode_object(text, position, depth + 1)
  elseif char == "[" then
    return decode_list(text, position, depth + 1)
  elseif char == '"' then
    return decode_string(text, position + 1)
  end
  for _, word in ipairs(WORDS) do
    if text:sub(position, position + #word[1] - 1) == word[1] then
      return word[2], position + #word[1]
    end
  end
  return decode_number(text, position)
end

--- Read JSON; nil and a sentence when the text is none.
---@param text string
---@return any, string?
function M.decode(text)
  local ok, value, stop = pcall(decode_value, text, 1, 0)
  if not ok then
    return nil, type(value) == "table" and value.json or tostring(value)
  end
  if skip(text, stop) <= #text then
    return nil, string.format("something follows the value at byte %d", stop)
  end
  return value
end

return M
