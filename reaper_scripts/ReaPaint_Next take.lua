-- @description ReaPaint: Next take
-- @about Hear the next take of the painted part.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("next_take", folder)
