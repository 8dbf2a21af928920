--- Registers all actions in REAPER's list, and says how to give them keys.

local channel = require("reapaint.channel")
local dialogs = require("reapaint.dialogs")
local errors = require("reapaint.errors")
local spool = require("reapaint.spool")

local M = {}

M.ACTIONS = {
  "Inpaint time selection",
  "Try again with a new seed",
  "Four takes",
  "Fill from surroundings",
  "Extend item to end of time selection",
  "Vary time selection",
  "Next take",
  "Previous take",
  "Keep this take",
  "Restore original",
  "Recall settings of selected take",
  "Cancel",
  "Cancel all",
  "Settings",
  "Start engine",
  "Stop engine",
  "Self-test",
  "Set up",
  "Listener",
}

local HOW_TO_TEXT = "%d actions of ReaPaint are in REAPER's action list."
  .. "\n\nTo give them keys: open Actions > Show action list, type ReaPaint, choose an action,"
  .. " press Add under Shortcuts and then the key."
  .. "\n\nThree are worth a key at once: Inpaint time selection, Try again with a new seed,"
  .. " Next take."
local NOT_INSTALLED_TEXT = "\n\nThe program that makes the sound is not connected yet:"
  .. " run `reapaint reaper install` in a terminal."

local function register(folder)
  for index, name in ipairs(M.ACTIONS) do
    local path = folder .. "ReaPaint_" .. name .. ".lua"
    -- Only the last one writes REAPER's list to disk.
    if reaper.AddRemoveReaScript(true, 0, path, index == #M.ACTIONS) == 0 then
      return nil,
        errors.new(
          "action_missing",
          string.format("REAPER could not load %s.", path),
          "Run `reapaint reaper install` again."
        )
    end
  end
  return true
end

---@param folder string of the action files
---@return boolean?, reapaint.Error?
function M.run(folder)
  local ok, err = register(folder)
  if not ok then
    return nil, err
  end
  local text = HOW_TO_TEXT:format(#M.ACTIONS)
  if not reaper.file_exists(spool.launch_path()) then
    text = text .. NOT_INSTALLED_TEXT
  end
  dialogs.tell(text)
  return channel.ensure_listener(folder)
end

return M
