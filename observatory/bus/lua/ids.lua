-- Entry ids: their time, and their order.

local function id_ms(entry)
  return tonumber(string.match(entry, '^(%d+)'))
end

local function earlier(a, b)
  -- Ids of today have thirteen digits before the dash; where both do and are equally long, they compare as text.
  if #a == #b and string.byte(a, 14) == 45 and string.byte(b, 14) == 45 then return a < b end
  local a_ms, a_seq = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_seq = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then return #a_ms < #b_ms or (#a_ms == #b_ms and a_ms < b_ms) end
  return #a_seq < #b_seq or (#a_seq == #b_seq and a_seq < b_seq)
end
