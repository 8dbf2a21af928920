-- @description ReaPaint: Try again with a new seed
-- @about Repaint the same part with the same settings and a new seed, as one more take.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("try_again", folder)
