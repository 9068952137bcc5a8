-- What an entry says that has the canonical order of fields, as `encode` in wire.py writes it; of every other form only
-- the tolerant reader can tell. Returns id, type, ttl in s, attempt, arrival in ms or nil, ordering key or nil; or nil.
local function canonical(fields)
  if fields[1] ~= 'id' or fields[3] ~= 'type' or fields[5] ~= 'from' then return nil end
  local id, ttl, attempt, arrived, key, ours = fields[2], nil, '1', nil, nil, false
  for i = 7, #fields, 2 do
    local name = fields[i]
    if name == 'v' then ours = true
    elseif name == 'ttl' then ttl = ttl or tonumber(fields[i + 1])
    elseif name == 'attempt' then attempt = fields[i + 1]
    elseif name == 'arrived' then arrived = tonumber(fields[i + 1])
    elseif name == 'ordering_key' then key = fit_key(fields[i + 1])
    end
  end
  if not ours or id == '' or #id > 512 or not ttl or ttl <= 0 then return nil end
  return id, fields[4], ttl, attempt, arrived, key
end
