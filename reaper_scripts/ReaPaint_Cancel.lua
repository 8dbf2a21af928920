-- @description ReaPaint: Cancel
-- @about End the job that was started last.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("cancel", folder)
