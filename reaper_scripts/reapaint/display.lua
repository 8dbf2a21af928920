--- Progress and messages, seen without taking the focus from REAPER.
---
--- A tooltip beside the mouse by default; a small window with a Cancel button where ReaImGui is
--- installed; a plain one where the settings ask for it.

local channel = require("reapaint.channel")

local M = {}

local MESSAGE_TICKS = 200
local MAX_LINES = 4
local IMGUI_VERSION = "0.9.3"
local WINDOW_TITLE = "ReaPaint"
local GFX_WIDTH, GFX_HEIGHT = 360, 120

---@class reapaint.Display
---@field kind "tooltip"|"imgui"|"gfx"
---@field shown string
---@field message string?
---@field message_ticks integer

local function load_imgui()
  if not reaper.ImGui_GetBuiltinPath then
    return nil
  end
  local path = package.path
  package.path = reaper.ImGui_GetBuiltinPath() .. "/?.lua;" .. path
  local ok, imgui = pcall(function()
    return require("imgui")(IMGUI_VERSION)
  end)
  package.path = path
  return ok and imgui or nil
end

---@param preference "auto"|"tooltip"|"window"
---@return reapaint.Display
function M.new(preference)
  local display = { kind = "tooltip", shown = "", message_ticks = 0 }
  local imgui = preference ~= "tooltip" and load_imgui() or nil
  if imgui then
    display.kind, display.imgui = "imgui", imgui
  elseif preference == "window" then
    display.kind = "gfx"
  end
  return display
end

--- Show a sentence for some seconds, below what was said in the same tick.
---@param display reapaint.Display
---@param text string
function M.say(display, text)
  local before = display.message_ticks == MESSAGE_TICKS and display.message
  if before and before:find(text, 1, true) then
    return
  end
  display.message = before and before .. "\n" .. text or text
  display.message_ticks = MESSAGE_TICKS
end

local function set_tooltip(display, text)
  if text == display.shown then
    return
  end
  display.shown = text
  channel.show(text)
end

local function draw_imgui(display, lines, on_cancel)
  local imgui = display.imgui
  if #lines == 0 then
    display.context = nil
    return
  end
  display.context = display.context or imgui.CreateContext(WINDOW_TITLE)
  local context = display.context
  local flags = imgui.WindowFlags_NoFocusOnAppearing
    | imgui.WindowFlags_AlwaysAutoResize
    | imgui.WindowFlags_NoNav
  local visible, open = imgui.Begin(context, WINDOW_TITLE, true, flags)
  if visible then
    for _, line in ipairs(lines) do
      imgui.ProgressBar(context, line.fraction, GFX_WIDTH, 0, line.text)
    end
    if imgui.Button(context, "Cancel") then
      on_cancel()
    end
    imgui.End(context)
  end
  if not open then
    on_cancel()
  end
end

local function draw_gfx(display, lines, on_cancel)
  if #lines == 0 then
    if display.is_open then
      gfx.quit()
      display.is_open = false
    end
    return
  end
  if not display.is_open then
    gfx.init(WINDOW_TITLE, GFX_WIDTH, GFX_HEIGHT)
    display.is_open = true
  end
  -- Closing the window or pressing Escape cancels.
  local key = gfx.getchar()
  if key == -1 or key == 27 then
    gfx.quit()
    display.is_open = false
    on_cancel()
    return
  end
  gfx.set(0.9, 0.9, 0.9, 1)
  for index, line in ipairs(lines) do
    local y = 8 + (index - 1) * 26
    gfx.rect(8, y + 16, (GFX_WIDTH - 16) * line.fraction, 4, 1)
    gfx.x, gfx.y = 8, y
    gfx.drawstr(line.text)
  end
  gfx.update()
end

---@param lines { text: string, fraction: number }[]
local function as_text(lines)
  local texts = {}
  for index, line in ipairs(lines) do
    texts[index] = string.format("%s, %d of 100", line.text, math.floor(line.fraction * 100))
  end
  if #texts > 0 then
    texts[#texts + 1] = "(the action ReaPaint: Cancel ends it)"
  end
  return table.concat(texts, "\n")
end

local function first_lines(lines)
  if #lines <= MAX_LINES then
    return lines
  end
  local first = table.move(lines, 1, MAX_LINES, 1, {})
  local last = first[MAX_LINES]
  local more = string.format("%s (and %d more)", last.text, #lines - MAX_LINES)
  first[MAX_LINES] = { text = more, fraction = last.fraction }
  return first
end

--- Show what is going on, once a tick.
---@param display reapaint.Display
---@param lines { text: string, fraction: number }[]
---@param on_cancel fun()
function M.update(display, lines, on_cancel)
  lines = first_lines(lines)
  if display.kind == "imgui" then
    if not pcall(draw_imgui, display, lines, on_cancel) then
      -- Whatever another version of it dislikes, jobs go on and are told of.
      display.kind, display.context = "tooltip", nil
    end
  elseif display.kind == "gfx" then
    draw_gfx(display, lines, on_cancel)
  end
  local text = display.kind == "tooltip" and as_text(lines) or ""
  if display.message then
    text = display.message
    display.message_ticks = display.message_ticks - 1
    if display.message_ticks <= 0 then
      display.message = nil
    end
  end
  set_tooltip(display, text)
end

---@param display reapaint.Display
function M.close(display)
  if display.is_open then
    gfx.quit()
  end
  set_tooltip(display, "")
end

return M
