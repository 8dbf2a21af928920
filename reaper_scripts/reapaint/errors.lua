--- What can fail, as values: a stable code, a sentence, and what to do next.

local M = {}

--- Codes of the scripts; those of the bridge and the engine come beside them.
---@alias reapaint.Code
---| "action_missing"
---| "bridge_not_started"
---| "bridge_silent"
---| "disk_full"
---| "edit_failed"
---| "empty_item"
---| "empty_result"
---| "incompatible_version"
---| "invalid_setting"
---| "item_changed"
---| "listener_missing"
---| "locked_item"
---| "long_fade"
---| "malformed_message"
---| "midi_item"
---| "missing_file"
---| "missing_result"
---| "no_painted_part"
---| "no_scratch_tab"
---| "not_installed"
---| "nothing_selected"
---| "nothing_to_extend"
---| "offline_item"
---| "original_dropped"
---| "plays_all_takes"
---| "recording"
---| "selection_apart"
---| "shared_fade"
---| "silent_source"
---| "splice_failed"
---| "spool_not_writable"
---| "too_many_jobs"
---| "unknown_source"
---| "unopened_result"
---| "unreadable_loop"
---| "unreadable_take"
---| "wrong_job"

---@class reapaint.Error
---@field code reapaint.Code | string
---@field message string
---@field hint string

---@param code reapaint.Code | string
---@param message string
---@param hint string?
---@return reapaint.Error
function M.new(code, message, hint)
  return { code = code, message = message, hint = hint or "" }
end

---@return reapaint.Error
function M.recording()
  return M.new("recording", "REAPER is recording.", "Stop recording first.")
end

---@return reapaint.Error
function M.locked_item()
  return M.new("locked_item", "This item is locked.", "Unlock it first.")
end

--- What went wrong, for a person: the first line of what `xpcall` or `pcall` caught.
---@param problem any
---@return string
function M.first_line(problem)
  return (tostring(problem):match("[^\n]*"))
end

--- The error as one line for a person.
---@param err reapaint.Error
---@return string
function M.sentence(err)
  if err.hint == "" then
    return err.message
  end
  return err.message .. " " .. err.hint
end

return M
