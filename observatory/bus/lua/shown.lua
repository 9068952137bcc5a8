-- Entries as lists show them: long values are cut, and no answer grows beyond what a screen can use.

local LONGEST, MOST_BYTES = tonumber(ARGV[2]), 1000000

-- Returns {id, bytes, 1 if a value was cut, fields}.
local function shown(row)
  local fields, size, cut = row[2], 0, 0
  for i, value in ipairs(fields) do
    size = size + #value
    if #value > LONGEST then
      fields[i] = string.sub(value, 1, LONGEST)
      cut = 1
    end
  end
  return {row[1], size, cut, fields}
end

-- What a packed body says, as text: it may have been packed by anybody.
local function text_of(value)
  return (type(value) == 'string' or type(value) == 'number') and tostring(value) or ''
end
