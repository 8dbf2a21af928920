-- @description ReaPaint: Start engine
-- @about Start ReaPaint's engine before the first job needs it.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("start_engine", folder)
