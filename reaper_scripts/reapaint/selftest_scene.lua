--- What the self-test tries things on: a project tab and files of its own, all of which go.

local errors = require("reapaint.errors")
local project = require("reapaint.project")
local spool = require("reapaint.spool")

local M = {}

local NEW_PROJECT_TAB = 40859
local CLOSE_PROJECT_TAB = 40860
M.SAMPLE_RATE = 48000
M.LEVEL = 0.5
M.FILE_SECONDS = 2

---@class reapaint.Scene
---@field proj ReaProject
---@field before ReaProject the tab that was in front
---@field track MediaTrack
---@field folder string
---@field path string of a file that is one level throughout
---@field files string[] to be removed

local function wav_text(seconds, level)
  local data = string.pack("<f", level):rep(math.floor(seconds * M.SAMPLE_RATE))
  local format = string.pack("<I2I2I4I4I2I2", 3, 1, M.SAMPLE_RATE, M.SAMPLE_RATE * 4, 4, 32)
  return "RIFF"
    .. string.pack("<I4", 36 + #data)
    .. "WAVEfmt "
    .. string.pack("<I4", #format)
    .. format
    .. "data"
    .. string.pack("<I4", #data)
    .. data
end

--- A path of the self-test's own, removed at its end.
---@param scene reapaint.Scene
---@param name string
---@param subfolder string?
---@return string
function M.scratch_path(scene, name, subfolder)
  local folder = subfolder and scene.folder .. "/" .. subfolder or scene.folder
  local path = folder .. "/self-test " .. name
  table.insert(scene.files, path)
  return path
end

---@param scene reapaint.Scene
---@param name string
---@param subfolder string?
---@return string?, reapaint.Error?
function M.write_media(scene, name, subfolder)
  local path = M.scratch_path(scene, name, subfolder)
  table.insert(scene.files, reaper.GetPeakFileName(path))
  local ok, err = spool.replace(path, wav_text(M.FILE_SECONDS, M.LEVEL))
  return ok and path or nil, err
end

---@param proj ReaProject
---@return MediaTrack
function M.add_track(proj)
  local index = reaper.CountTracks(proj)
  reaper.InsertTrackAtIndex(index, false)
  return reaper.GetTrack(proj, index)
end

---@param track MediaTrack
---@param path string
---@param position number
---@param length number
---@return MediaItem, MediaItem_Take
function M.add_item(track, path, position, length)
  local item = reaper.AddMediaItemToTrack(track)
  local take = reaper.AddTakeToMediaItem(item)
  reaper.SetMediaItemTake_Source(take, reaper.PCM_Source_CreateFromFile(path))
  local set = reaper.SetMediaItemInfo_Value
  set(item, "D_POSITION", position)
  set(item, "D_LENGTH", length)
  set(item, "B_LOOPSRC", 0)
  set(item, "D_FADEINLEN", 0)
  set(item, "D_FADEOUTLEN", 0)
  return item, take
end

--- Open a tab with a track in it.
---@return reapaint.Scene?, reapaint.Error?
function M.open()
  reaper.RecursiveCreateDirectory(spool.root() .. "/spool", 0)
  local scene = { folder = spool.root(), files = {}, before = project.current() }
  local path, err = M.write_media(scene, "level.wav")
  if not path then
    return nil, err
  end
  scene.path = path
  reaper.Main_OnCommandEx(NEW_PROJECT_TAB, 0, scene.before)
  scene.proj = project.current()
  if scene.proj == scene.before then
    M.remove_files(scene)
    return nil, errors.new("no_scratch_tab", "REAPER opened no new project tab.", "Open one.")
  end
  return scene
end

--- Whether the tab is still there and in front: nothing is ever done in another one.
---@param scene reapaint.Scene
---@return boolean
function M.is_in_front(scene)
  return project.is_open(scene.proj) and project.is_current(scene.proj)
end

--- Save the tab under a name of the self-test's own.
---@param scene reapaint.Scene
---@return string path
function M.save(scene)
  local path = M.scratch_path(scene, "project.rpp", "spool")
  table.insert(scene.files, path .. "-bak")
  if reaper.Main_SaveProjectEx then
    reaper.Main_SaveProjectEx(scene.proj, path, 0)
  end
  return path
end

--- Close the tab, whichever is in front. What has no change since it was saved closes without
--- a question.
---@param scene reapaint.Scene
---@return boolean whether it could be closed
function M.close(scene)
  if not project.is_open(scene.proj) then
    return true
  end
  local front = project.current()
  reaper.SelectProjectInstance(scene.proj)
  if reaper.IsProjectDirty(scene.proj) ~= 0 then
    M.save(scene)
  end
  reaper.Main_OnCommandEx(CLOSE_PROJECT_TAB, 0, scene.proj)
  local back = front == scene.proj and scene.before or front
  if project.is_open(back) then
    reaper.SelectProjectInstance(back)
  end
  return not project.is_open(scene.proj)
end

---@param scene reapaint.Scene
function M.remove_files(scene)
  for _, path in ipairs(scene.files) do
    os.remove(path)
  end
end

return M
