-- What REAPER's own Lua has and a plain Lua has not. Run once in each script's state, before
-- the script; `double` is the Python side and is not left behind as a global.
local double, options = ...

local error, rawget, rawset, type, select = error, rawget, rawset, type, select
local move, unpack, concat = table.move, table.unpack, table.concat
local string_unpack, floor, is_main = string.unpack, math.floor, coroutine.running
local setmetatable, getmetatable, debug_setmetatable = setmetatable, getmetatable, debug.setmetatable
local pause, resume = double.pause, double.resume

-- Errors -------------------------------------------------------------------------------------

local function finish(ok, ...)
    if ok then
        return ...
    end
    error((...), 2)
end

-- reaper.array -------------------------------------------------------------------------------

local LIMIT = 4194303
local data, size_of, allocated = {}, {}, {}
local weak = { __mode = "k" }
setmetatable(data, weak)
setmetatable(size_of, weak)
setmetatable(allocated, weak)

local array_meta = {}
local array_methods = {}

local function bad(n, name, what)
    error(("bad argument #%d to '%s' (%s)"):format(n, name, what), 3)
end

local function zeros(from, values, first, last)
    for i = first, last do
        values[i] = from
    end
end

local function make_array(values, count)
    local array = double.new_object()
    debug_setmetatable(array, array_meta)
    data[array], size_of[array], allocated[array] = values, count, count
    return array
end

local function new_array(first, count)
    pause()
    local values = {}
    if type(first) == "table" or data[first] then
        local from = data[first] or first
        local length = data[first] and size_of[first] or #from
        if count then
            zeros(0.0, values, 1, count)
        end
        for i = 1, length do
            values[i] = from[i] + 0.0
        end
        count = count or length
    else
        count = first and floor(first)
        if not count or count < 1 or count > LIMIT then
            resume()
            bad(1, "new_array", "invalid size")
        end
        zeros(0.0, values, 1, count)
    end
    local array = make_array(values, count)
    double.array_made(count)
    resume()
    return array
end

function array_meta.__len(array)
    return size_of[array]
end

function array_meta.__index(array, key)
    if type(key) == "number" then
        if key < 1 or key > size_of[array] or key ~= floor(key) then
            if options.array_out_of_range == "nil" then
                return nil
            end
            error(("array index out of range: %s of %d"):format(tostring(key), size_of[array]), 2)
        end
        return data[array][floor(key)]
    end
    local method = array_methods[key]
    if not method then
        double.fail(("reaper.array has no method '%s'"):format(tostring(key)))
    end
    return function(...)
        return method(array, ...)
    end
end

function array_meta.__newindex(array, key, value)
    if type(key) ~= "number" or key < 1 or key > size_of[array] or key ~= floor(key) then
        error(("array index out of range: %s of %d"):format(tostring(key), size_of[array]), 2)
    end
    data[array][floor(key)] = value + 0.0
end

function array_methods.clear(array, value, offset, size)
    pause()
    offset = offset or 1
    zeros((value or 0.0) + 0.0, data[array], offset, size and offset + size - 1 or size_of[array])
    resume()
    return true
end

function array_methods.table(array, offset, size)
    offset = offset or 1
    size = size or size_of[array] - offset + 1
    if offset < 1 or offset + size - 1 > size_of[array] then
        bad(1, "table", "out of range")
    end
    return move(data[array], offset, offset + size - 1, 1, {})
end

function array_methods.copy(array, source, offset, size, to)
    local from = data[source] or source
    offset, to = offset or 1, to or 1
    size = size or (data[source] and size_of[source] or #from) - offset + 1
    size = math.min(size, size_of[array] - to + 1)
    move(from, offset, offset + size - 1, to, data[array])
    return size
end

function array_methods.get_alloc(array)
    return allocated[array]
end

function array_methods.resize(array, size)
    if size < 0 or size > allocated[array] then
        return false
    end
    size_of[array] = size
    return true
end

for _, name in ipairs({ "convolve", "fft", "fft_real", "ifft", "ifft_real", "multiply" }) do
    array_methods[name] = function()
        double.fail("the double does not provide reaper.array." .. name)
    end
end

local CHUNK = 128
local FORMAT = "<" .. ("d"):rep(CHUNK)

-- Write doubles, packed in a string, into an array from its beginning on.
local function pour(array, bytes, count)
    local values, at, i = data[array], 1, 1
    while count - i + 1 >= CHUNK do
        local part = { string_unpack(FORMAT, bytes, at) }
        move(part, 1, CHUNK, i, values)
        at, i = at + CHUNK * 8, i + CHUNK
    end
    while i <= count do
        values[i], at = string_unpack("<d", bytes, at)
        i = i + 1
    end
end

-- reaper -------------------------------------------------------------------------------------

local reaper = {}

-- Channels that are not written keep what the array held: mask tells which are.
local function pour_channels(array, bytes, frames, channels, written)
    local values, at = data[array], 1
    for frame = 0, frames - 1 do
        for channel = 1, written do
            values[frame * channels + channel], at = string_unpack("<d", bytes, at)
        end
    end
end

local function accessor_samples(raw)
    return function(accessor, rate, channels, start, frames, buffer)
        local _, main = is_main()
        local size = size_of[buffer]
        local ok, code, bytes, count, written = raw(main, size, accessor, rate, channels, start, frames)
        if not ok then
            error(code, 2)
        end
        if bytes then
            pause()
            if written == channels then
                pour(buffer, bytes, count * channels)
            else
                pour_channels(buffer, bytes, count, channels, written)
            end
            resume()
        end
        return code
    end
end

local function peaks(raw)
    return function(take, rate, start, channels, count, extra, buffer)
        local ok, code, bytes, length = raw(take, rate, start, channels, count, extra, size_of[buffer])
        if not ok then
            error(code, 2)
        end
        if bytes then
            pour(buffer, bytes, length)
        end
        return code
    end
end

local special = {
    GetAudioAccessorSamples = accessor_samples,
    GetMediaItemTake_Peaks = peaks,
    new_array = function()
        return new_array
    end,
}

setmetatable(reaper, {
    __index = function(_, name)
        local raw = double.lookup(name)
        if raw == nil then
            return nil
        end
        local call
        if special[name] then
            call = special[name](raw)
        else
            call = function(...)
                return finish(raw(...))
            end
        end
        rawset(reaper, name, call)
        return call
    end,
    __newindex = function(_, name)
        double.fail("a script writes reaper." .. tostring(name))
    end,
})

-- gfx ----------------------------------------------------------------------------------------

local gfx = {}
local gfx_values = {
    r = 1, g = 1, b = 1, a = 1, w = 0, h = 0, x = 0, y = 0, mode = 0, clear = 0, dest = -1,
    texth = 8, mouse_x = 0, mouse_y = 0, mouse_cap = 0, mouse_wheel = 0, mouse_hwheel = 0,
    ext_retina = 0, a2 = 1,
}
local gfx_size = { w = true, h = true, mouse_x = true, mouse_y = true, mouse_cap = true }

setmetatable(gfx, {
    __index = function(_, name)
        if gfx_size[name] then
            return double.gfx_value(name)
        elseif gfx_values[name] ~= nil then
            return gfx_values[name]
        end
        local raw = double.gfx(name)
        local call = function(...)
            return finish(raw(...))
        end
        rawset(gfx, name, call)
        return call
    end,
    __newindex = function(_, name, value)
        if gfx_values[name] == nil or type(value) ~= "number" then
            double.fail("gfx." .. tostring(name) .. " is no number of gfx")
        end
        gfx_values[name] = value
    end,
})

-- Files --------------------------------------------------------------------------------------

local to_host, to_lua = double.to_host, double.to_lua
local real_open, real_lines, real_input = io.open, io.lines, io.input
local real_rename, real_remove, real_time = os.rename, os.remove, os.time
local open_files = setmetatable({}, weak)

local file_index = getmetatable(io.stdout).__index
local real_write, real_close = file_index.write, file_index.close

function io.open(path, mode)
    mode = mode or "r"
    local refused = double.opening(path, mode)
    if refused then
        return nil, refused, 13
    end
    local file, why, code = real_open(to_host(path), mode)
    if not file then
        return nil, path .. why:sub(#to_host(path) + 1), code
    end
    open_files[file] = path
    return file
end

function file_index.write(file, ...)
    local path = open_files[file]
    if path then
        local refused = double.writing(path, ...)
        if refused then
            return nil, refused, 28
        end
    end
    return real_write(file, ...)
end

function file_index.close(file)
    open_files[file] = nil
    return real_close(file)
end

local function held(path)
    for file, each in pairs(open_files) do
        if each == path and io.type(file) == "file" then
            return true
        end
    end
    return false
end

function os.rename(from, to)
    local refused = double.renaming(from, to, held(from))
    if refused then
        return nil, from .. ": " .. refused, 17
    end
    local ok, why, code = real_rename(to_host(from), to_host(to))
    if not ok then
        return nil, from .. why:sub(#to_host(from) + 1), code
    end
    return ok
end

function os.remove(path)
    local refused = double.removing(path, held(path))
    if refused then
        return nil, path .. ": " .. refused, 13
    end
    local ok, why, code = real_remove(to_host(path))
    if not ok then
        return nil, path .. why:sub(#to_host(path) + 1), code
    end
    return ok
end

function io.lines(path, ...)
    return real_lines(path and to_host(path), ...)
end

function os.time(when)
    return when and real_time(when) or real_time() + double.clock_step()
end

for library, names in pairs({ os = { "execute", "exit", "setlocale" }, io = { "popen", "input", "output" } }) do
    for _, name in ipairs(names) do
        _G[library][name] = function()
            double.fail(("a script calls %s.%s, which blocks or harms REAPER"):format(library, name))
        end
    end
end

function print(...)
    local words = {}
    for i = 1, select("#", ...) do
        words[i] = tostring((select(i, ...)))
    end
    double.printed(concat(words, "\t"))
end

-- Modules and scripts are read through the same names as other files.
local function load_file(path, ...)
    local file, why = real_open(to_host(path), "rb")
    if not file then
        return nil, why
    end
    local text = file:read("a")
    real_close(file)
    return load(text, "@" .. path, "bt", ...)
end

function loadfile(path, mode, ...)
    return load_file(path, ...)
end

function dofile(path)
    return assert(load_file(path))()
end

local separator = options.separator
package.config = separator .. package.config:sub(2)
package.path = to_lua(options.library) .. separator .. "?.lua"
package.cpath = ""
package.searchers[2] = function(name)
    local inner = name:gsub("%.", separator == "\\" and "\\\\" or separator)
    local tried = {}
    for template in package.path:gmatch("[^;]+") do
        local path = template:gsub("%?", (inner:gsub("%%", "%%%%")))
        local file = real_open(to_host(path), "rb")
        if file then
            real_close(file)
            return assert(load_file(path)), path
        end
        tried[#tried + 1] = "\n\tno file '" .. path .. "'"
    end
    return concat(tried)
end
package.searchers[3], package.searchers[4] = nil, nil

-- ---------------------------------------------------------------------------------------------

_G.reaper, _G.gfx = reaper, gfx
_G.python = nil

local function guard(fn, ...)
    return xpcall(fn, function(message)
        if type(message) == "string" then
            return debug.traceback(message, 2)
        end
        return message
    end, ...)
end

return guard, load_file
