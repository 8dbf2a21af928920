-- @description ReaPaint: Listener
-- @about Follows the jobs of the other actions, which start it. No key need be bound to it.
-- @noindex

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.listener").run()
