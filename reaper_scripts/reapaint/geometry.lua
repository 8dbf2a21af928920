--- Where things lie in time: pure functions on seconds, without REAPER.
---
--- A span is half-open, `{ start_s, end_s }`. A *part* is the piece of an item that gets the new
--- takes: its span, grown outward to where the item can be cut without changing what is heard
--- outside. Project time plus a job's `axis_shift_s` is the axis of its request.

local M = {}

---@class reapaint.Span
---@field start_s number
---@field end_s number

--- Cuts closer than this share of a sample are the same cut: doubles of hour-long projects
--- still resolve a millionth of one.
local SNAP_SAMPLES = 1e-4
local MIN_CONTEXT_S = 5.0
--- Edges closer than this are one: half a sample at 192 kHz is more.
M.EDGE_TOLERANCE_S = 2e-6
--- Untouched sound on both sides of a result, so that an edge can be dragged.
M.HANDLES_S = 2.0
--- The longest handle that the bridge writes.
M.MAX_HANDLES_S = 60.0

---@param a reapaint.Span
---@param b reapaint.Span
---@return reapaint.Span?
function M.overlap(a, b)
  local start_s, end_s = math.max(a.start_s, b.start_s), math.min(a.end_s, b.end_s)
  if end_s <= start_s then
    return nil
  end
  return { start_s = start_s, end_s = end_s }
end

--- Whether a span goes on in another, before it or after it.
---@param span reapaint.Span
---@param other reapaint.Span
---@param direction integer -1: the other comes before; 1: after
---@return boolean
function M.touches(span, other, direction)
  local gap = direction < 0 and span.start_s - other.end_s or other.start_s - span.end_s
  return math.abs(gap) < M.EDGE_TOLERANCE_S
end

--- The spans in order, those that touch as one.
---@param spans reapaint.Span[]
---@return reapaint.Span[]
function M.union(spans)
  local sorted = table.move(spans, 1, #spans, 1, {})
  table.sort(sorted, function(a, b)
    return a.start_s < b.start_s
  end)
  local merged = {}
  for _, span in ipairs(sorted) do
    local last = merged[#merged]
    if last and span.start_s <= last.end_s then
      last.end_s = math.max(last.end_s, span.end_s)
    else
      merged[#merged + 1] = { start_s = span.start_s, end_s = span.end_s }
    end
  end
  return merged
end

--- The razor areas of a track, those of its envelopes left out.
---@param text string triples of start, end and a quoted envelope GUID
---@return reapaint.Span[]
function M.razor_spans(text)
  local spans = {}
  for start_s, end_s, envelope in text:gmatch('(%S+)%s+(%S+)%s+"([^"]*)"') do
    local span = { start_s = tonumber(start_s), end_s = tonumber(end_s) }
    if envelope == "" and span.start_s and span.end_s and span.end_s > span.start_s then
      spans[#spans + 1] = span
    end
  end
  return M.union(spans)
end

--- The pieces to cut an item into, one for each span.
---
--- A cut lies a whole number of project samples after the item's start, so that a part that
--- begins between two samples is not moved against its neighbours. It never falls inside a
--- fade, which would be cut short and change what is heard outside: there the part reaches to
--- the item's edge.
---@param item { position: number, length: number, fade_in_s: number, fade_out_s: number }
---@param spans reapaint.Span[] project seconds, in order, apart from each other
---@param sample_rate number of the project
---@return reapaint.Span[]? parts nil when two spans would share a part
function M.parts(item, spans, sample_rate)
  local item_end = item.position + item.length
  local parts = {}
  for index, span in ipairs(spans) do
    local first = math.floor((span.start_s - item.position) * sample_rate + SNAP_SAMPLES)
    local last = math.ceil((span.end_s - item.position) * sample_rate - SNAP_SAMPLES)
    local start_s = item.position + first / sample_rate
    local end_s = item.position + last / sample_rate
    if first <= 0 or start_s < item.position + item.fade_in_s then
      start_s = item.position
    end
    if last >= item.length * sample_rate - SNAP_SAMPLES or end_s > item_end - item.fade_out_s then
      end_s = item_end
    end
    if index > 1 and start_s < parts[index - 1].end_s then
      return nil
    end
    parts[index] = { start_s = start_s, end_s = end_s }
  end
  return parts
end

--- Whether a part is a whole item, so that nothing has to be cut.
---@param item { position: number, length: number }
---@param part reapaint.Span
---@return boolean
function M.is_whole(item, part)
  return part.start_s <= item.position and part.end_s >= item.position + item.length
end

--- The stretch of a file that an item plays around its spans, at rate 1.
---
--- A looped item plays its source several times over; spans within one pass are spans of the
--- file, moved back by the passes before. Spans that leave the file, or lie in two passes, are
--- none.
---@param item { position: number, length: number, offset: number, loops: boolean }
---@param spans reapaint.Span[] project seconds
---@param source_length number
---@param may_extend boolean whether the last span may go past the file's end
---@return { start_s: number, end_s: number, shift_s: number }?
function M.file_window(item, spans, source_length, may_extend)
  local shift = item.offset - item.position
  local passes = 0
  if item.loops then
    passes = math.floor((spans[1].start_s + shift + M.EDGE_TOLERANCE_S) / source_length)
  end
  shift = shift - passes * source_length
  local start_s = math.max(0, item.position + shift)
  local end_s = math.min(source_length, item.position + item.length + shift)
  local first, last = spans[1].start_s + shift, spans[#spans].end_s + shift
  local is_late = last > end_s + M.EDGE_TOLERANCE_S and not may_extend
  if first < start_s - M.EDGE_TOLERANCE_S or is_late then
    return nil
  end
  return { start_s = start_s, end_s = end_s, shift_s = shift }
end

--- How much sound a job hears on each side: as much as its longest span, at least five seconds.
---@param spans reapaint.Span[]
---@param asked_s number?
---@return number
function M.context_s(spans, asked_s)
  if asked_s then
    return asked_s
  end
  local context = MIN_CONTEXT_S
  for _, span in ipairs(spans) do
    context = math.max(context, span.end_s - span.start_s)
  end
  return context
end

--- How much untouched sound each result needs around its span to fill its part.
---@param spans reapaint.Span[]
---@param parts reapaint.Span[]
---@return number
function M.handles_s(spans, parts)
  local handles = M.HANDLES_S
  for index, span in ipairs(spans) do
    local part = parts[index]
    local reach = math.max(span.start_s - part.start_s, part.end_s - span.end_s)
    -- A second more than is played, for a resampler to look ahead into.
    handles = math.max(handles, reach > 0.5 and reach + 1 or 0)
  end
  return handles
end

--- The stretch of an item that a job must hear, on whole samples.
---@param length number of the item
---@param spans reapaint.Span[] item time
---@param reach_s number seconds before the first span and after the last
---@param sample_rate integer of the audio that is read
---@return number start_s, integer frames
function M.reading(length, spans, reach_s, sample_rate)
  local start_s = math.max(0, spans[1].start_s - reach_s)
  local end_s = math.min(length, spans[#spans].end_s + reach_s)
  local first = math.floor(start_s * sample_rate)
  local last = math.max(first, math.floor(end_s * sample_rate + SNAP_SAMPLES))
  return first / sample_rate, last - first
end

--- The one piece that holds all parts.
---@generic T: { position: number, length: number }
---@param pieces T[]
---@param parts reapaint.Span[]
---@param tolerance_s number
---@return T?
function M.holder(pieces, parts, tolerance_s)
  local start_s, end_s = parts[1].start_s, parts[#parts].end_s
  for _, piece in ipairs(pieces) do
    if
      start_s >= piece.position - tolerance_s
      and end_s <= piece.position + piece.length + tolerance_s
    then
      return piece
    end
  end
  return nil
end

---@param spans reapaint.Span[]
--- Spans on another axis; ends that meet the source's end but for rounding are it.
---@param shift_s number
---@param source_end_s number?
---@return reapaint.Span[]
function M.shifted(spans, shift_s, source_end_s)
  local moved = {}
  for index, span in ipairs(spans) do
    local end_s = span.end_s + shift_s
    if source_end_s and math.abs(end_s - source_end_s) < M.EDGE_TOLERANCE_S then
      end_s = source_end_s
    end
    moved[index] = { start_s = span.start_s + shift_s, end_s = end_s }
  end
  return moved
end

return M
