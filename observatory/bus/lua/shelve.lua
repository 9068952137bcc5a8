#!lua flags=allow-oom
-- Move dead letters into the trash, out of it again, or delete them from it for good.
-- ARGV: as in moving.lua, what (trash | restore | purge), days for which the trash is kept (0: for ever); then per
--   letter: item, entry, task id, type
-- Outcomes: done (and its entry in the other stream), gone.

local what, days = ARGV[6], tonumber(ARGV[7])
local dlq, trash = PREFIX .. ':tasks:dlq', PREFIX .. ':tasks:trash'
local source = what == 'trash' and dlq or trash
local NOTES = {trashed_by = true, trashed_at = true, trashed_id = true}

-- The letter as it was before it came into the trash, which it says at its end.
local function taken_out(fields)
  local kept, was = {}, nil
  local last = #fields - 1
  while last > 0 and NOTES[fields[last]] do
    if fields[last] == 'trashed_id' then was = fields[last + 1] end
    last = last - 2
  end
  for i = 1, last + 1 do kept[i] = fields[i] end
  if was and not get(kept, 'was') then put(kept, 'was', was) end
  return kept
end

local function laid_in(fields, entry)
  for _, value in ipairs({'trashed_by', WHO, 'trashed_at', NOW_TEXT, 'trashed_id', entry}) do
    fields[#fields + 1] = value
  end
  return fields
end

local answers = each(8, 4, function(at)
  local entry, id, type = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local row = redis.call('XRANGE', source, entry, entry)[1]
  if not row then return 'gone' end
  local reason = get(row[2], 'reason') or ''
  if what == 'purge' then
    redis.call('XDEL', trash, entry)
    event('purged', id, type, trash, WHO, '0', reason, '', entry)
    return 'done'
  end
  local moved
  if what == 'trash' then
    moved = add(trash, laid_in(row[2], entry))
  else
    moved = add(dlq, taken_out(row[2]))
  end
  if not moved then return 'gone' end
  redis.call('XDEL', source, entry)
  if id ~= '' and recall(id, 'state')[1] == 'dead' then
    remember(id, SETTLED_TTL, 'lane', what == 'trash' and trash or dlq, 'entry', moved)
  end
  event(what == 'trash' and 'trashed' or 'restored', id, type, source, WHO, '0', reason, '', entry)
  return 'done', moved
end)
if days > 0 then redis.call('XTRIM', trash, 'MINID', text(NOW - days * 86400000)) end
count_events()
return answers
