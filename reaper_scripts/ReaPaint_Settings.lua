-- @description ReaPaint: Settings
-- @about Choose backend, model and how progress is shown.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("settings", folder)
