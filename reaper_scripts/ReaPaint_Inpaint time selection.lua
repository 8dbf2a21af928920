-- @description ReaPaint: repaint a stretch of audio in place
-- @version 0.2.0
-- @author ReaPaint
-- @about
--   # ReaPaint
--   Ask for a prompt and repaint the time selection on the selected items, razor areas or
--   whole items.
--
--   The sound is made by the program `reapaint` beside REAPER: install it with
--   `pip install reapaint`, then run `reapaint reaper install`.
-- @provides
--   [main] ReaPaint_Try again with a new seed.lua
--   [main] ReaPaint_Four takes.lua
--   [main] ReaPaint_Fill from surroundings.lua
--   [main] ReaPaint_Extend item to end of time selection.lua
--   [main] ReaPaint_Vary time selection.lua
--   [main] ReaPaint_Next take.lua
--   [main] ReaPaint_Previous take.lua
--   [main] ReaPaint_Keep this take.lua
--   [main] ReaPaint_Restore original.lua
--   [main] ReaPaint_Recall settings of selected take.lua
--   [main] ReaPaint_Cancel.lua
--   [main] ReaPaint_Cancel all.lua
--   [main] ReaPaint_Settings.lua
--   [main] ReaPaint_Start engine.lua
--   [main] ReaPaint_Stop engine.lua
--   [main] ReaPaint_Self-test.lua
--   [main] ReaPaint_Set up.lua
--   [main] ReaPaint_Listener.lua
--   [nomain] reapaint/*.lua
--   [nomain] reapaint/project/*.lua

local folder = debug.getinfo(1, "S").source:match("@?(.*[\\/])")
package.path = folder .. "?.lua;" .. package.path
require("reapaint.action").run("inpaint", folder)
