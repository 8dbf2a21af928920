-- @description ReaPaint: Set up
-- @about Register all actions of ReaPaint, and say how to bind keys.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("set_up", folder)
