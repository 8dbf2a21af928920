--- The one door to the open project; nothing else asks REAPER about items, takes and tracks.

local M = {}

for _, part in ipairs({ "reading", "refusals", "editing" }) do
  for name, value in pairs(require("reapaint.project." .. part)) do
    M[name] = value
  end
end

return M
