-- @description ReaPaint: Four takes
-- @about Make four variations of the selected part at once.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("four_takes", folder)
