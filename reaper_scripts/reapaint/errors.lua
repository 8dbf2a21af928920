--- What can fail, as values: a stable code, a sentence, and what to do next.

local M = {}

---@class reapaint.Error
---@field code string
---@field message string
---@field hint string

---@param code string
---@param message string
---@param hint string?
---@return reapaint.Error
function M.new(code, message, hint)
  return { code = code, message = message, hint = hint or "" }
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
