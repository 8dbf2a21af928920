--- What each action does: find out what is meant, hand it over, and end.

local bridge = require("reapaint.bridge")
local channel = require("reapaint.channel")
local dialogs = require("reapaint.dialogs")
local errors = require("reapaint.errors")
local geometry = require("reapaint.geometry")
local instances = require("reapaint.instances")
local jobs = require("reapaint.jobs")
local planning = require("reapaint.planning")
local project = require("reapaint.project")
local settings = require("reapaint.settings")
local spool = require("reapaint.spool")
local takes = require("reapaint.takes")

local M = {}

local MAX_JOBS = 32
local VARIATION_TAKES = 4

---@class reapaint.Target
---@field item MediaItem
---@field spans reapaint.Span[]

-- What is meant

local function spans_in(item, spans)
  local inside, whole = {}, project.item_span(item)
  for _, span in ipairs(spans) do
    inside[#inside + 1] = geometry.overlap(span, whole)
  end
  return inside
end

local function razor_targets(proj)
  local targets = {}
  for _, area in ipairs(project.razor_areas(proj)) do
    local reach = { start_s = area.spans[1].start_s, end_s = area.spans[#area.spans].end_s }
    for _, item in ipairs(project.heard_items(area.track, reach)) do
      local spans = spans_in(item, area.spans)
      if #spans > 0 then
        targets[#targets + 1] = { item = item, spans = spans }
      end
    end
  end
  return targets
end

--- What a person means: razor areas, else the time selection on the selected items (or on the
--- one track it can mean), else the selected items as they are.
---@param proj ReaProject
---@return reapaint.Target[]?, reapaint.Error?
local function find_targets(proj)
  local targets = razor_targets(proj)
  if #targets > 0 then
    return targets
  end
  local span = project.time_selection(proj)
  local items = project.selected_items(proj)
  if #items == 0 and span then
    items = project.implied_items(proj, span)
  end
  if #items == 0 then
    return nil,
      errors.new(
        "nothing_selected",
        "Nothing is selected to paint.",
        "Set a time selection over an item, and select the item."
      )
  end
  for _, item in ipairs(items) do
    local spans = spans_in(item, { span or project.item_span(item) })
    if #spans > 0 then
      targets[#targets + 1] = { item = item, spans = spans }
    end
  end
  if #targets == 0 then
    return nil,
      errors.new(
        "selection_apart",
        "The time selection does not touch the selected items.",
        "Move the one or select the other."
      )
  end
  return targets
end

--- Of several targets without a time selection, the painted ones alone, if there are any: the
--- rest of a painted item stays selected with its part, and is not meant.
local function prefer_painted(proj, targets)
  if project.time_selection(proj) then
    return targets
  end
  local painted = {}
  for _, target in ipairs(targets) do
    if planning.painted_take(target.item) then
      painted[#painted + 1] = target
    end
  end
  return #painted > 0 and painted or targets
end

local function first_refusal(proj, targets)
  local refused
  for _, target in ipairs(targets) do
    local err = project.refusal(proj, target.item)
    if not err then
      return nil
    end
    refused = refused or err
  end
  return refused
end

-- Handing over

local function send(plan, chosen, proj)
  local job = jobs.new(plan, chosen, {
    name = project.name(proj),
    media_folder = project.media_folder(proj),
  })
  instances.announce()
  local ok, err = jobs.store(job)
  if ok and not plan.reading then
    -- A file needs no reading: the request leaves within this very tick.
    ok, err = spool.commit(job.job_id, job.request)
  end
  if not ok then
    return nil, err
  end
  channel.post("job " .. job.job_id)
  return true
end

--- Plan and send a job for each target. What can't be painted is said; the rest goes on.
---@param proj ReaProject
---@param targets reapaint.Target[]
---@param choose fun(item: MediaItem): reapaint.Settings
---@param folder string
---@return boolean?, reapaint.Error?
local function submit(proj, targets, choose, folder)
  local count = channel.jobs_under_way() + #targets
  if count > MAX_JOBS then
    local message = "That would make %d jobs at once; %d are the most."
    return nil,
      errors.new("too_many_jobs", message:format(count, MAX_JOBS), "Select less, or wait.")
  end
  local problem, sent = nil, 0
  for _, target in ipairs(targets) do
    local chosen = choose(target.item)
    local extend_to_s = target.extend_to_s
    local plan, err = planning.plan(proj, target.item, target.spans, chosen, extend_to_s)
    local ok
    if plan then
      ok, err = send(plan, chosen, proj)
    end
    sent = sent + (ok and 1 or 0)
    problem = problem or err
  end
  if sent > 0 then
    local listening, err = channel.ensure_listener(folder)
    problem = problem or (not listening and err) or nil
  end
  if problem then
    return nil, problem
  end
  return true
end

--- The settings of the last job on an item, or of the last job at all; always a new seed.
local function last_settings(item)
  local _, job = planning.painted_take(item)
  local chosen = job and type(job.settings) == "table" and settings.complete(job.settings)
    or settings.last()
  chosen.seed = nil
  chosen.takes = 1
  return chosen
end

local function paint_again(folder, changes)
  local proj = project.current()
  local targets, err = find_targets(proj)
  if not targets then
    return nil, err
  end
  return submit(proj, prefer_painted(proj, targets), function(item)
    return settings.with(last_settings(item), changes)
  end, folder)
end

-- Results that wait

local OFFER_TEXT = "A result for %q (%s) waits: %s."
local HERE_TEXT = "\n\nYes: put it back in its place, or on a new track where that has changed."
local ELSEWHERE_TEXT = "\n\nIt was made in %s."
  .. "\n\nYes: put it on a new track of the project in front."
local ANSWERS_TEXT = "\nNo: drop it (its files stay in the media folder).\nCancel: ask again later."

--- Offer what could not be spliced when it came.
local function offer_kept(folder)
  for _, kept in ipairs(channel.kept()) do
    local job = jobs.load(kept.job_id)
    if job then
      local elsewhere = jobs.made_elsewhere(job)
      local where = elsewhere and ELSEWHERE_TEXT:format(elsewhere) or HERE_TEXT
      local offer = OFFER_TEXT:format(job.name, job.label, kept.reason)
      local answer = dialogs.yes_no_cancel(offer .. where .. ANSWERS_TEXT)
      if answer == nil then
        break
      end
      channel.post((answer == "yes" and "place " or "dismiss ") .. kept.job_id)
    end
  end
  return channel.ensure_listener(folder)
end

-- Actions

function M.inpaint(folder)
  if #channel.kept() > 0 then
    offer_kept(folder)
  end
  local proj = project.current()
  local targets, err = find_targets(proj)
  err = err or first_refusal(proj, targets)
  if err then
    return nil, err
  end
  local chosen = dialogs.prompt(settings.take_recalled() or settings.last())
  if not chosen then
    return true
  end
  settings.remember(chosen)
  return submit(proj, targets, function()
    return chosen
  end, folder)
end

function M.try_again(folder)
  return paint_again(folder, {})
end

function M.four_takes(folder)
  return paint_again(folder, { takes = VARIATION_TAKES })
end

function M.vary(folder)
  return paint_again(folder, { strength = settings.preferences().vary_strength })
end

function M.fill(folder)
  return paint_again(folder, { prompt = "", negative_prompt = "", strength = 1.0 })
end

function M.extend(folder)
  local proj = project.current()
  local span = project.time_selection(proj)
  local targets = {}
  for _, item in ipairs(span and project.selected_items(proj) or {}) do
    local item_end = project.item_span(item).end_s
    if span.end_s > item_end then
      local spans = { { start_s = item_end, end_s = span.end_s } }
      targets[#targets + 1] = { item = item, spans = spans, extend_to_s = span.end_s }
    end
  end
  if #targets == 0 then
    return nil,
      errors.new(
        "nothing_to_extend",
        "No selected item ends before the time selection does.",
        "Select the item, and set a time selection that ends after it."
      )
  end
  return submit(proj, targets, function()
    return settings.with(settings.last(), { prompt = "", takes = 1, strength = 1.0 })
  end, folder)
end

local function say(folder, text, err)
  if not text then
    return nil, err
  end
  channel.say(text)
  return channel.ensure_listener(folder)
end

function M.next_take(folder)
  return say(folder, takes.step(project.current(), 1))
end

function M.previous_take(folder)
  return say(folder, takes.step(project.current(), -1))
end

function M.keep_take(folder)
  return say(folder, takes.keep(project.current()))
end

function M.restore(folder)
  return say(folder, takes.restore(project.current()))
end

function M.recall(folder)
  return say(folder, takes.recall(project.current()))
end

function M.cancel(folder)
  channel.post("cancel")
  return channel.ensure_listener(folder)
end

function M.cancel_all(folder)
  channel.post("cancel_all")
  return channel.ensure_listener(folder)
end

function M.settings(folder)
  local choices = settings.choices(bridge.backends())
  local chosen, preferences = dialogs.settings(settings.last(), settings.preferences(), choices)
  if not chosen then
    return true
  end
  settings.remember(chosen)
  settings.set_preferences(preferences)
  channel.post("display")
  return channel.ensure_listener(folder)
end

function M.start_engine(folder)
  local ok, err = spool.control("start_engine")
  if not ok then
    return nil, err
  end
  channel.post("launch start_engine")
  channel.say("Starting ReaPaint's engine.")
  return channel.ensure_listener(folder)
end

function M.stop_engine(folder)
  local ok, err = spool.control("stop_engine")
  if not ok then
    return nil, err
  end
  channel.post("launch")
  channel.say("Stopping ReaPaint's engine.")
  return channel.ensure_listener(folder)
end

function M.set_up(folder)
  return require("reapaint.setup").run(folder)
end

function M.self_test(folder)
  return require("reapaint.selftest").run(folder)
end

return M
