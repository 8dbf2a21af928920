-- @description ReaPaint: Recall settings of selected take
-- @about Take the settings of the painted take into the next prompt.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("recall", folder)
