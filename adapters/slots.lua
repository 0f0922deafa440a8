-- Slots in Redis, for all workers together. The rules are told in jobs/slots.py and jobs/line.py,
-- the pace in jobs/pace.py, which this follows number by number.
-- KEYS[1]: what all names begin with. ARGV: a command and its arguments. Times are in seconds by
-- Redis's own clock.

local CUT, RISE, STEADY, CALM, FIRST = 0.85, 2.5, 20, 1, 10
local FEWEST_RISE_CALLS, MOST_RISE_CALLS = 5, 50
local PROBE, BOLD, BOLDEST = 0.3, 10, 0.25
local LEAST, BURST, FORGET = 1 / 30, 0.1, 600
local WINDOW, BUCKET = 2, 0.5 -- admitted calls are counted in buckets of half a second
local LOOK_AGAIN = 0.2 -- where someone is at the ceiling
local MOST_PASSED_OVER = 100 -- users at the ceiling that one look passes over

local call = redis.call
local clock = call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6

local function exact(number) return string.format('%.6f', number) end

-- Names of users and models may hold anything, so each is led by its length.
local function key(kind, ...)
  local name = KEYS[1] .. ':' .. kind
  for _, part in ipairs({...}) do name = name .. ':' .. #part .. ':' .. part end
  return name
end

-- The pace of a model -----------------------------------------------------------------------------

local function read_pace(model)
  local read = call('HMGET', key('pace', model), 'rate', 'top', 'tokens', 'filled', 'taken', 'cut')
  if not read[1] then return nil end
  local pace = {
    rate = tonumber(read[1]), top = tonumber(read[2]), tokens = tonumber(read[3]),
    filled = tonumber(read[4]), taken = tonumber(read[5]), cut = tonumber(read[6]),
  }
  local passed = math.max(0, now - pace.filled)
  pace.tokens = math.min(math.max(1, pace.rate * BURST), pace.tokens + passed * pace.rate)
  return pace
end

local function write_pace(model, pace)
  call('HSET', key('pace', model), 'rate', exact(pace.rate), 'top', exact(pace.top),
    'tokens', exact(pace.tokens), 'filled', exact(now), 'taken', exact(pace.taken),
    'cut', exact(pace.cut))
end

local function bucket_key(model, ago)
  return key('seen', model) .. ':' .. string.format('%d', math.floor(now / BUCKET) - ago)
end

local function count(model, field, by)
  local name = bucket_key(model, 0)
  call('HINCRBY', name, field, by)
  call('EXPIRE', name, 5)
end

-- How many calls began, and how many were throttled, in the window; and how long that is.
local function seen(model)
  local begun, throttled = 0, 0
  for ago = 0, WINDOW / BUCKET - 1 do
    local counts = call('HMGET', bucket_key(model, ago), 'begun', 'throttled')
    begun = begun + (tonumber(counts[1]) or 0)
    throttled = throttled + (tonumber(counts[2]) or 0)
  end
  return begun, throttled, WINDOW - BUCKET + now % BUCKET
end

local function quicken(pace)
  local calls = math.min(MOST_RISE_CALLS, math.max(FEWEST_RISE_CALLS, pace.rate * STEADY))
  local share = math.min(1 / calls, math.max(0, now - pace.taken) / RISE)
  if pace.rate < pace.top * (2 - CUT) then
    pace.rate = pace.rate + pace.top * (1 - CUT) * share
  else
    local boldness = 1 + (now - pace.cut) / BOLD
    pace.rate = pace.rate * (1 + math.min(BOLDEST, PROBE * share * boldness))
  end
end

-- Begin a call if the pace allows one; otherwise say in how many seconds it may.
local function take(model, waited)
  local pace = read_pace(model)
  if pace then
    if pace.tokens < 1 then return false, (1 - pace.tokens) / pace.rate end
    pace.tokens = pace.tokens - 1
    if waited and now - pace.cut >= CALM then quicken(pace) end
    pace.taken = now
    write_pace(model, pace)
  end
  count(model, 'begun', 1)
  return true
end

local function put_back(model)
  local pace = read_pace(model)
  if pace then
    pace.tokens = pace.tokens + 1
    write_pace(model, pace)
  end
  count(model, 'begun', -1)
end

local function slow_down(model, begun_at)
  count(model, 'throttled', 1)
  local pace = read_pace(model)
  if pace and begun_at <= pace.cut then return end
  local begun, throttled, seconds = seen(model)
  local admitted = math.max(0, begun - throttled) / seconds
  local before = pace and pace.rate or math.max(FIRST, begun / seconds)
  pace = pace or {tokens = 0, taken = now}
  pace.top = math.max(math.min(before, admitted), before / 2)
  pace.rate = math.max(LEAST, pace.top * CUT)
  pace.cut = now
  write_pace(model, pace)
  call('EXPIRE', key('pace', model), FORGET)
end

-- Ceilings ----------------------------------------------------------------------------------------

-- Whether the user may run one more job; without a worker's word on its room, always.
local function may_run(user, share)
  local capacity = tonumber(call('GET', key('capacity')))
  if not capacity then return true end
  local running = key('running', user)
  call('ZREMRANGEBYSCORE', running, '-inf', exact(now))
  return call('ZCARD', running) < math.max(1, math.floor(capacity * share))
end

local function occupy(user, slot, lifetime)
  local running = key('running', user)
  call('ZADD', running, exact(now + lifetime), slot)
  call('EXPIRE', running, math.ceil(lifetime))
end

-- Commands ----------------------------------------------------------------------------------------

local commands = {}

-- Gives {time} with a slot, or {} where the task stands in line.
function commands.ask(model, user, job, task, slot, lifetime, share, has_room)
  local tasks, line, ring = key('tasks', model), key('line', model, user), key('ring', model)
  if call('HEXISTS', tasks, job) == 1 then
    call('HSET', tasks, job, task)
    return {}
  end
  local pace = read_pace(model)
  local must_wait = call('LLEN', line) > 0 or (pace and call('LLEN', ring) > 0)
  if has_room == '1' and not must_wait and may_run(user, tonumber(share)) and take(model, false) then
    occupy(user, slot, tonumber(lifetime))
    return {exact(now)}
  end
  call('HSET', tasks, job, task)
  if call('RPUSH', line, job) == 1 then call('RPUSH', ring, user) end
  call('SADD', key('models'), model)
  return {}
end

-- Gives {seconds until it is worth another look or '', time, slot, task, slot, task ...}.
function commands.call_up(most, slots, lifetime, share, first)
  most, lifetime, share = tonumber(most), tonumber(lifetime), tonumber(share)
  local called, again = {}, nil
  local models = call('SMEMBERS', key('models'))
  table.sort(models)
  for offset = 1, #models do
    local model = models[(offset + tonumber(first)) % #models + 1]
    local tasks, ring = key('tasks', model), key('ring', model)
    local passed_over, look_in = 0, LOOK_AGAIN
    while #called < 2 * most and passed_over < math.min(call('LLEN', ring), MOST_PASSED_OVER) do
      local user = call('LPOP', ring)
      if not may_run(user, share) then
        call('RPUSH', ring, user)
        passed_over = passed_over + 1
      else
        local line = key('line', model, user)
        local allowed, wait = take(model, true)
        if not allowed then
          call('LPUSH', ring, user)
          look_in = wait
          break
        end
        local job = call('LPOP', line)
        local slot = slots .. '/' .. (#called / 2)
        occupy(user, slot, lifetime)
        table.insert(called, slot)
        table.insert(called, call('HGET', tasks, job) or '')
        call('HDEL', tasks, job)
        if call('LLEN', line) > 0 then call('RPUSH', ring, user) end
        passed_over = 0
      end
    end
    if call('LLEN', ring) == 0 then
      call('SREM', key('models'), model)
    else
      again = math.min(again or look_in, look_in)
    end
  end
  return {again and exact(again) or '', exact(now), unpack(called)}
end

function commands.give_back(model, user, slot, use, given_at)
  call('ZREM', key('running', user), slot)
  if use == 'unused' then
    put_back(model)
  elseif use == 'throttled' then
    slow_down(model, tonumber(given_at))
  end
  return 1
end

-- A worker's word on how many jobs it has room for, and on the slots in use: user, slot ...
-- Gives each worker's part of the pace of every model that is waited for: {model, rate ...}.
function commands.keep(worker, room, lifetime, ...)
  lifetime = tonumber(lifetime)
  local all, capacity, count = key('rooms'), 0, 0
  call('HSET', all, worker, exact(now + lifetime) .. ' ' .. room)
  local rooms = call('HGETALL', all)
  for i = 1, #rooms, 2 do
    local until_, its_room = string.match(rooms[i + 1], '^(%S+) (%d+)$')
    if tonumber(until_) < now or its_room == '0' then
      call('HDEL', all, rooms[i])
    else
      capacity, count = capacity + tonumber(its_room), count + 1
    end
  end
  if count > 0 then
    call('SET', key('capacity'), capacity, 'EX', math.ceil(lifetime))
  else
    call('DEL', key('capacity'))
  end
  local kept = {...}
  for i = 1, #kept, 2 do -- what has been given back meanwhile stays so
    local running = key('running', kept[i])
    call('ZADD', running, 'XX', exact(now + lifetime), kept[i + 1])
    call('EXPIRE', running, math.ceil(lifetime))
  end
  local paces = {}
  for _, model in ipairs(call('SMEMBERS', key('models'))) do
    local pace = read_pace(model)
    if pace then
      table.insert(paces, model)
      table.insert(paces, exact(pace.rate / math.max(1, count)))
    end
  end
  return paces
end

return commands[ARGV[1]](unpack(ARGV, 2))
