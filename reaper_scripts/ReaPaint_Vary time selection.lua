-- @description ReaPaint: Vary time selection
-- @about Repaint the selected part at less than full strength, so that it stays alike.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("vary", folder)
