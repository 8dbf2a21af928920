-- @description ReaPaint: Restore original
-- @about Drop the new takes and heal the cuts of the painted part.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("restore", folder)
