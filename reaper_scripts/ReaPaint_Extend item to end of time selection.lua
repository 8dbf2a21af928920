-- @description ReaPaint: Extend item to end of time selection
-- @about Let the selected items go on to the end of the time selection.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("extend", folder)
