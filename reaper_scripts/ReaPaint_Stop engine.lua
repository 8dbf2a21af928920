-- @description ReaPaint: Stop engine
-- @about End ReaPaint's engine and free its memory.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("stop_engine", folder)
