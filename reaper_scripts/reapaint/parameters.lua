--- What a person may ask for, with its limits: made by .ci/parameters.py from the bridge's table.

---@class reapaint.Parameter
---@field name string
---@field title string
---@field type "string"|"integer"|"number"|"boolean"
---@field optional boolean? whether it may be left to the engine
---@field if_open string? what is taken then
---@field default any
---@field low number? the least that a number may be
---@field high number? the most

---@type reapaint.Parameter[]
return {
  {
    name = "prompt",
    title = "Prompt",
    type = "string",
    default = "",
  },
  {
    name = "negative_prompt",
    title = "Negative prompt",
    type = "string",
    default = "",
  },
  {
    name = "takes",
    title = "Takes",
    type = "integer",
    default = 1,
    low = 1,
    high = 16,
  },
  {
    name = "strength",
    title = "Strength",
    type = "number",
    default = 1.0,
    low = 0,
    high = 1,
  },
  {
    name = "seed",
    title = "Seed",
    type = "integer",
    optional = true,
    if_open = "new",
    low = 0,
    high = 4294967295,
  },
  {
    name = "backend",
    title = "Backend",
    type = "string",
    optional = true,
    if_open = "the engine's",
  },
  {
    name = "model",
    title = "Model",
    type = "string",
    optional = true,
    if_open = "the engine's",
  },
  {
    name = "mode",
    title = "Mode",
    type = "string",
    default = "auto",
  },
  {
    name = "steps",
    title = "Steps",
    type = "integer",
    optional = true,
    if_open = "the model's",
    low = 1,
    high = 100,
  },
  {
    name = "guidance",
    title = "Guidance",
    type = "number",
    optional = true,
    if_open = "the model's",
    low = 0,
    high = 25,
  },
  {
    name = "crossfade_s",
    title = "Crossfade in seconds",
    type = "number",
    optional = true,
    if_open = "0.03",
    low = 0,
    high = 10,
  },
  {
    name = "match_level",
    title = "Match the level",
    type = "boolean",
    default = true,
  },
  {
    name = "max_cost",
    title = "Highest cost in USD",
    type = "number",
    optional = true,
    if_open = "no limit",
    low = 0,
    high = 1000000.0,
  },
  {
    name = "context_s",
    title = "Context in seconds",
    type = "number",
    optional = true,
    if_open = "enough",
    low = 0,
    high = 3600.0,
  },
}
