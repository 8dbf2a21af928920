-- @description ReaPaint: Keep this take
-- @about Drop all takes of the painted part but the one that is heard.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("keep_take", folder)
