--- The files shared with the bridge, under REAPER's resource folder.
---
--- A file appears whole or not at all: it is written beside its place and renamed. Every path
--- that is probed is known; folders are listed only once, at the listener's start.

local errors = require("reapaint.errors")
local json = require("reapaint.json")

local M = {}

M.PROTOCOL = "1.0"

local function join(...)
  return table.concat({ ... }, "/")
end

---@return string
function M.root()
  return join((reaper.GetResourcePath():gsub("\\", "/")), "ReaPaint")
end

---@param job_id string
---@param name string?
---@return string
function M.job_path(job_id, name)
  local folder = join(M.root(), "spool", "jobs", job_id)
  return name and join(folder, name) or folder
end

---@return string
function M.heartbeat_path()
  return join(M.root(), "spool", "bridge.json")
end

--- Where a REAPER that has jobs shows the others on this resource folder that it lives.
---@param instance string
---@return string
function M.life_path(instance)
  return join(M.root(), "spool", "reaper-" .. instance .. ".json")
end

---@return string
function M.launch_path()
  return join(M.root(), "launch.json")
end

--- 32 hexadecimal digits that nobody else has.
---@return string
function M.new_job_id()
  return (reaper.genGuid(""):gsub("[^%x]", ""):lower())
end

local function write_error(path, reason)
  return errors.new(
    "spool_not_writable",
    string.format("ReaPaint could not write %s (%s).", path, tostring(reason)),
    "Check that REAPER's resource folder can be written and that the disk is not full."
  )
end

local function write(path, text, may_replace)
  local draft = path .. ".tmp"
  local file, reason = io.open(draft, "wb")
  if not file then
    return nil, write_error(path, reason)
  end
  local written, write_reason = file:write(text)
  local closed, close_reason = file:close()
  if not (written and closed) then
    os.remove(draft)
    return nil, write_error(path, write_reason or close_reason)
  end
  local renamed, rename_reason = os.rename(draft, path)
  if not renamed and may_replace then
    -- Windows does not rename onto a file that exists.
    os.remove(path)
    renamed, rename_reason = os.rename(draft, path)
  end
  if not renamed then
    os.remove(draft)
    return nil, write_error(path, rename_reason)
  end
  return true
end

--- Write a file where none is, whole or not at all.
---@param path string
---@param text string
---@return boolean?, reapaint.Error?
function M.write_new(path, text)
  return write(path, text, false)
end

--- Write a file that only these scripts read, over an older one.
---@param path string
---@param text string
---@return boolean?, reapaint.Error?
function M.replace(path, text)
  return write(path, text, true)
end

---@param path string
---@return string?
function M.read_text(path)
  local file = io.open(path, "rb")
  if not file then
    return nil
  end
  local text = file:read("a")
  file:close()
  return text
end

local function is_same_major(protocol)
  return type(protocol) == "string" and protocol:match("^(%d+)") == M.PROTOCOL:match("^(%d+)")
end

--- A message, checked for its version and, where given, its job.
---@param path string
---@param job_id string?
---@return table?, reapaint.Error?
---@return table? foreign the message where its version alone is wrong
function M.read_message(path, job_id)
  local text = M.read_text(path)
  if not text then
    return nil, errors.new("missing_file", string.format("There is no file %s.", path))
  end
  local message, reason = json.decode(text)
  if type(message) ~= "table" then
    local what = string.format("%s is damaged: %s.", path, reason or "no object")
    return nil, errors.new("malformed_message", what)
  elseif not is_same_major(message.protocol) then
    return nil,
      errors.new(
        "incompatible_version",
        string.format(
          "The bridge speaks protocol %s, these scripts %s.",
          tostring(message.protocol),
          M.PROTOCOL
        ),
        "Run `reapaint reaper install`, and restart REAPER."
      ),
      message
  elseif job_id and message.job_id ~= job_id then
    return nil, errors.new("wrong_job", string.format("%s belongs to another job.", path))
  end
  return message
end

--- A message in a job's folder.
---@param job_id string
---@param name string
---@return table?, reapaint.Error?
function M.read_of_job(job_id, name)
  local message, err = M.read_message(M.job_path(job_id, name), job_id)
  return message, err
end

--- What these scripts note about a job, for themselves; the first file in its folder.
---@param job_id string
---@param note table
---@return boolean?, reapaint.Error?
function M.write_note(job_id, note)
  -- The return value says nothing about a folder that was there already; writing does.
  reaper.RecursiveCreateDirectory(M.job_path(job_id), 0)
  return M.replace(M.job_path(job_id, "script.json"), json.encode(note))
end

--- Commit a job: from here on the bridge works.
---@param job_id string
---@param request table
---@return boolean?, reapaint.Error?
function M.commit(job_id, request)
  return M.write_new(M.job_path(job_id, "request.json"), json.encode(request))
end

---@param job_id string
---@param name string
---@return boolean
function M.has(job_id, name)
  return reaper.file_exists(M.job_path(job_id, name))
end

--- Create one of the empty files that are signs: `cancel`, `applied`.
---@param job_id string
---@param name string
---@return boolean?, reapaint.Error?
function M.mark(job_id, name)
  if M.has(job_id, name) then
    return true
  end
  return M.write_new(M.job_path(job_id, name), "")
end

--- Leave a word for the bridge: `start_engine`, `stop_engine`.
---@param word string
---@return boolean?, reapaint.Error?
function M.control(word)
  local folder = join(M.root(), "spool", "control")
  reaper.RecursiveCreateDirectory(folder, 0)
  local path = join(folder, word)
  if reaper.file_exists(path) then
    return true
  end
  return M.write_new(path, "")
end

--- All jobs on disk. Lists a folder: for the listener's start only.
---@return string[]
function M.list_jobs()
  local folder = join(M.root(), "spool", "jobs")
  -- Index -1 makes REAPER read the folder again instead of its cache.
  reaper.EnumerateSubdirectories(folder, -1)
  local ids, index = {}, 0
  while true do
    local name = reaper.EnumerateSubdirectories(folder, index)
    if not name then
      return ids
    end
    if name:match("^%x+$") and #name == 32 then
      ids[#ids + 1] = name
    end
    index = index + 1
  end
end

return M
