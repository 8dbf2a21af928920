--- Tries out, in a real REAPER, what nobody has written down about it, and writes a report.
---
--- Everything happens in a project tab of its own, which is closed at the end, with files that
--- are removed then. A check that fails says so and stops no other.

local channel = require("reapaint.channel")
local checks = require("reapaint.selftest_checks")
local dialogs = require("reapaint.dialogs")
local errors = require("reapaint.errors")
local project = require("reapaint.project")
local scenes = require("reapaint.selftest_scene")
local spool = require("reapaint.spool")

local M = {}

local RENDER_PROJECT = 42230
local MEASURED_TICKS = 60
local MINIMISED_S = 15
local MAX_LENGTH_WAIT_S = 3
--- REAPER may read a closed tab's files a little longer.
local TICKS_BEFORE_REMOVAL = 10

local MINIMISE_QUESTION = "How often do scripts run while REAPER is minimised?"
  .. "\n\nYes: then minimise REAPER at once, and bring it back after ten seconds."
  .. "\nNo: leave that out."

---@class reapaint.SelfTest
---@field scene reapaint.Scene
---@field lines string[]
---@field stamps number[] when each cycle ran

local function note(test, name, text)
  table.insert(test.lines, name .. ": " .. text)
end

-- What takes time: each phase is called every cycle until it returns true

--- How long a fresh source's length reads 0, as it may with the audio device closed.
local function source_length(test)
  test.source = test.source or reaper.PCM_Source_CreateFromFile(test.scene.path)
  local length = reaper.GetMediaSourceLength(test.source)
  local waited_s = reaper.time_precise() - test.since
  if length <= 0 and waited_s < MAX_LENGTH_WAIT_S then
    return false
  end
  reaper.PCM_Source_Destroy(test.source)
  test.source = nil
  local ok, rate = reaper.GetAudioDeviceInfo("SRATE", "")
  local device = ok and "open at " .. rate or "closed"
  note(
    test,
    "A fresh source's length",
    string.format("%.9g after %.3f s, audio device %s", length, waited_s, device)
  )
  return true
end

local function describe_cycles(stamps, first)
  local longest_s = 0
  for index = first + 1, #stamps do
    longest_s = math.max(longest_s, stamps[index] - stamps[index - 1])
  end
  local cycles, seconds = #stamps - first, stamps[#stamps] - stamps[first]
  local rate = seconds > 0 and cycles / seconds or 0
  return string.format("%.3g, longest gap %.3f s", rate, longest_s)
end

local function idle_cycles(test)
  if #test.stamps - test.first < MEASURED_TICKS then
    return false
  end
  note(test, "Defer cycles a second", describe_cycles(test.stamps, test.first))
  return true
end

local RENDER_SETTINGS = { BOUNDSFLAG = 0, STARTPOS = 0, ENDPOS = 2, SETTINGS = 0, CHANNELS = 2 }

local function rendering(test)
  local proj = test.scene.proj
  local name = "self-test rendered"
  table.insert(test.scene.files, test.scene.folder .. "/" .. name .. ".wav")
  for key, value in pairs(RENDER_SETTINGS) do
    reaper.GetSetProjectInfo(proj, "RENDER_" .. key, value, true)
  end
  for key, text in pairs({ FILE = test.scene.folder, PATTERN = name, FORMAT = "evaw" }) do
    reaper.GetSetProjectInfo_String(proj, "RENDER_" .. key, text, true)
  end
  local started, cycles = reaper.time_precise(), #test.stamps
  reaper.Main_OnCommandEx(RENDER_PROJECT, 0, proj)
  local seconds = reaper.time_precise() - started
  local text = string.format("%d in %.3f s", #test.stamps - cycles, seconds)
  note(test, "Defer cycles while rendering", text)
  return true
end

local function minimised(test)
  if test.minimises == nil then
    test.minimises = dialogs.yes_no_cancel(MINIMISE_QUESTION) == "yes"
    -- Cycles count from the next one on: none ran while the window was open.
    test.first, test.since = #test.stamps + 1, reaper.time_precise()
  end
  if test.minimises and reaper.time_precise() - test.since < MINIMISED_S then
    return false
  end
  local text = test.minimises and describe_cycles(test.stamps, test.first) or "not tried"
  note(test, "Defer cycles a second, minimised", text)
  return true
end

--- How REAPER writes the paths of media inside and outside of a saved project's folder.
local function saving(test)
  local scene = test.scene
  local path = scenes.write_media(scene, "inside.wav", "spool")
  if path then
    scenes.add_item(scene.track, path, 40, 1)
  end
  local saved = scenes.save(scene)
  local seen, texts = {}, {}
  for file in (spool.read_text(saved) or ""):gmatch("\n%s*FILE ([^\r\n]+)") do
    if not seen[file] then
      seen[file] = true
      texts[#texts + 1] = file
    end
  end
  note(test, "Media in a saved project", #texts > 0 and table.concat(texts, " and ") or "none")
  return true
end

local PHASES = { source_length, idle_cycles, rendering, minimised, saving }

-- The run

local function report(test, is_closed)
  local path = spool.root() .. "/self-test.txt"
  local ok, err = spool.replace(path, table.concat(test.lines, "\n") .. "\n")
  local text = ok and "The report is in " .. path .. "." or errors.sentence(err)
  if not is_closed then
    text = text .. "\n\nThe project tab that was opened for it can be closed unsaved."
  end
  dialogs.tell(text)
end

local function finish(test)
  if test.source then
    reaper.PCM_Source_Destroy(test.source)
  end
  local is_closed = scenes.close(test.scene)
  local ticks = 0
  local function wait()
    ticks = ticks + 1
    if ticks < TICKS_BEFORE_REMOVAL then
      reaper.defer(wait)
      return
    end
    scenes.remove_files(test.scene)
    report(test, is_closed)
  end
  reaper.defer(wait)
end

local function run_phase(test)
  local phase = PHASES[test.phase]
  if not scenes.is_in_front(test.scene) then
    note(test, "FAILED", "another project tab came to the front; the rest was left out")
    return false
  end
  local ok, is_over = pcall(phase, test)
  if not ok then
    note(test, "FAILED", tostring(is_over))
  end
  if not ok or is_over then
    test.phase, test.first, test.since = test.phase + 1, #test.stamps, reaper.time_precise()
  end
  return test.phase <= #PHASES
end

local function run_phases(test)
  local function cycle()
    test.stamps[#test.stamps + 1] = reaper.time_precise()
    if run_phase(test) then
      reaper.defer(cycle)
    else
      finish(test)
    end
  end
  reaper.defer(cycle)
end

---@return boolean?, reapaint.Error?
function M.run()
  local scene, err = scenes.open()
  if not scene then
    return nil, err
  end
  channel.forgive_silence()
  local lines = {
    "ReaPaint self-test",
    "REAPER " .. reaper.GetAppVersion() .. " on " .. reaper.GetOS(),
  }
  local found, problem = project.edit(scene.proj, "ReaPaint: self-test", function()
    scene.track = scenes.add_track(scene.proj)
    return checks.run(scene)
  end)
  found = found or { "FAILED: " .. tostring(problem) }
  table.move(found, 1, #found, #lines + 1, lines)
  local now_s = reaper.time_precise()
  run_phases({ scene = scene, lines = lines, stamps = {}, phase = 1, first = 1, since = now_s })
  return true
end

return M
