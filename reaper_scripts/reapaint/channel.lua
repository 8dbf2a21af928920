--- How the actions, which end at once, reach the listener, which stays.
---
--- Every script has a Lua of its own; REAPER's extended state, in memory, is what they share.
--- REAPER runs one script at a time, so that a read followed by a write needs no lock.

local errors = require("reapaint.errors")
local spool = require("reapaint.spool")

local M = {}

local SECTION = "ReaPaint"
--- A listener that has not looked for so long is gone: it looks every 31 ms.
local MAX_SILENCE_S = 3.0
local TOOLTIP_OFFSET_PX = 20

local function get(key)
  return reaper.GetExtState(SECTION, key)
end

local function set(key, value)
  reaper.SetExtState(SECTION, key, value, false)
end

--- The name of this REAPER among those that share its resource folder, as long as it runs.
---@return string
function M.instance()
  local name = get("instance")
  if name == "" then
    name = spool.new_job_id()
    set("instance", name)
  end
  return name
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

--- Show a text beside the mouse, where it takes no focus; "" removes it.
---
--- In C the text's parameter is called `fmt`: REAPER may read it as a format, in which a per
--- cent sign asks for a value that nobody passes, or as it is, where doubling the sign would
--- show. A full-width sign is no format and reads the same either way; words of ours do
--- without one, as a plain font may lack it.
---@param text string
function M.show(text)
  local x, y = reaper.GetMousePosition()
  local plain = text:gsub("%%", "\u{FF05}")
  reaper.TrackCtl_SetToolTip(plain, x + TOOLTIP_OFFSET_PX, y + TOOLTIP_OFFSET_PX, true)
end

--- Say something; the listener keeps it there for a while, and clears it.
---@param text string
function M.say(text)
  M.show(text)
  M.post("said " .. text:gsub("%s*[\r\n]+%s*", " "))
end

--- Keep the whole of what a mistake of these scripts left, for whoever looks into it.
---@param trace string
function M.set_last_error(trace)
  set("last_error", trace)
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
  return get("inbox") == "" or not since or reaper.time_precise() - since < MAX_SILENCE_S
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

---@class reapaint.Kept a result that waits for a word
---@field job_id string
---@field reason string

--- The results that wait, the oldest first.
---@return reapaint.Kept[]
function M.kept()
  local kept = {}
  for job_id, reason in get("kept"):gmatch("(%x+) ([^\n]*)\n") do
    kept[#kept + 1] = { job_id = job_id, reason = reason }
  end
  return kept
end

---@param kept reapaint.Kept[]
function M.set_kept(kept)
  local lines = {}
  for index, each in ipairs(kept) do
    lines[index] = each.job_id .. " " .. each.reason:gsub("[\r\n]+", " ") .. "\n"
  end
  set("kept", table.concat(lines))
end

return M
