--- The frame of every action: does its work at once, says what went wrong, leaves no trace.

local channel = require("reapaint.channel")
local errors = require("reapaint.errors")

local M = {}

local TERMINATE_AND_RESTART = 1 | 2

--- Keep REAPER from adding an undo point for an action that changed nothing.
---
--- A deferred script gets none; held keys run it again before that ends, which asks a question
--- unless the script has said what it wants (REAPER 7.03). Before, an empty undo block does.
local function leave_no_undo_point()
  if reaper.set_action_options then
    reaper.set_action_options(TERMINATE_AND_RESTART)
    reaper.defer(function() end)
  else
    reaper.Undo_BeginBlock2(0)
    reaper.Undo_EndBlock2(0, "ReaPaint", 0)
  end
end

local function complain(text, folder)
  channel.say(text)
  channel.ensure_listener(folder)
end

--- Run a command of `reapaint.commands`.
---@param name string
---@param folder string of the action files
function M.run(name, folder)
  leave_no_undo_point()
  local ok, done, err = xpcall(function()
    return require("reapaint.commands")[name](folder)
  end, debug.traceback)
  if not ok then
    channel.set_last_error(tostring(done))
    complain("ReaPaint stopped: " .. errors.first_line(done), folder)
  elseif not done and err then
    complain(errors.sentence(err), folder)
  end
end

return M
