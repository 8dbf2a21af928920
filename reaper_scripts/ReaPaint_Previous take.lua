-- @description ReaPaint: Previous take
-- @about Hear the previous take of the painted part.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("previous_take", folder)
