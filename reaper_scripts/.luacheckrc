std = "lua53+lua54"
globals = { "reaper", "gfx" }
max_line_length = 100
