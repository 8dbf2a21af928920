-- @description ReaPaint: Cancel all
-- @about End all jobs that are under way.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("cancel_all", folder)
