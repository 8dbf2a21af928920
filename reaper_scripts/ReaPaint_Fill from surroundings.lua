-- @description ReaPaint: Fill from surroundings
-- @about Replace the selected part by what is around it, without a prompt.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("fill", folder)
