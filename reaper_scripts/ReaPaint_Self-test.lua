-- @description ReaPaint: Self-test
-- @about Try out what ReaPaint relies on in this REAPER, and write a report.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("self_test", folder)
