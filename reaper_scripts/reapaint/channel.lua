--- How the actions, which end at once, reach the listener, which stays.
---
--- Every script has a Lua of its own; REAPER's extended state, in memory, is what they share.
--- REAPER runs one script at a time, so that a read followed by a write needs no lock.

local errors = require("reapaint.errors")

local M = {}

local SECTION = "ReaPaint"
--- A listener that has not looked for so long is gone: it looks every 31 ms.
local DEAF_S = 3.0
local TOOLTIP_OFFSET = 20

local function get(key)
  return reaper.GetExtState(SECTION, key)
end

local function set(key, value)
  reaper.SetExtState(SECTION, key, value, false)
end

--- Leave a word for the listener.
---@param word string one line
function M.post(word)
  local inbox = get("inbox")
  if inbox == "" then
    set("inbox_since", string.format("%.3f", reaper.time_precise()))
  end
  set("inbox", inbox .. word .. "\n")
end

--- All words since the last call.
---@return string[]
function M.receive()
  local inbox, words = get("inbox"), {}
  if inbox ~= "" then
    set("inbox", "")
    for word in inbox:gmatch("[^\n]+") do
      words[#words + 1] = word
    end
  end
  return words
end

--- Say something beside the mouse, where it takes no focus; the listener keeps it there for a
--- while, and clears it.
---@param text string
function M.say(text)
  local x, y = reaper.GetMousePosition()
  reaper.TrackCtl_SetToolTip(text, x + TOOLTIP_OFFSET, y + TOOLTIP_OFFSET, true)
  M.post("said " .. text:gsub("%s*[\r\n]+%s*", " "))
end

--- Take note that a modal window was open: it held up the listener too, which is not deaf.
function M.forgive_silence()
  set("inbox_since", string.format("%.3f", reaper.time_precise()))
end

--- Take the listener's place; one that held it before sees that and ends.
---@return string token
function M.claim()
  local token = reaper.genGuid("")
  set("listener", token)
  return token
end

---@param token string
---@return boolean
function M.holds(token)
  return get("listener") == token
end

---@param token string
function M.release(token)
  if M.holds(token) then
    set("listener", "")
  end
end

local function is_listening()
  if get("listener") == "" then
    return false
  end
  local since = tonumber(get("inbox_since"))
  return get("inbox") == "" or not since or reaper.time_precise() - since < DEAF_S
end

--- Start the listener where none listens. It is an action of its own, so that pressing a key
--- again never asks whether to end a running script.
---@param folder string of the action files
---@return boolean?, reapaint.Error?
function M.ensure_listener(folder)
  if is_listening() then
    return true
  end
  local path = folder .. "ReaPaint_Listener.lua"
  local command = reaper.AddRemoveReaScript(true, 0, path, true)
  if command == 0 then
    return nil,
      errors.new(
        "listener_missing",
        "REAPER could not load " .. path .. ".",
        "Run `reapaint reaper install` again."
      )
  end
  reaper.Main_OnCommandEx(command, 0, 0)
  return true
end

--- How many jobs are under way, as the listener last said.
---@return integer
function M.jobs_under_way()
  return math.tointeger(tonumber(get("busy"))) or 0
end

---@param count integer
function M.set_jobs_under_way(count)
  set("busy", tostring(count))
end

--- The results that wait for a word, the oldest first.
---@return string[]
function M.kept()
  local ids = {}
  for id in get("kept"):gmatch("%x+") do
    ids[#ids + 1] = id
  end
  return ids
end

---@param ids string[]
function M.set_kept(ids)
  set("kept", table.concat(ids, " "))
end

return M
