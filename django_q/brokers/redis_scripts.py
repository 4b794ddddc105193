"""The Lua of the Redis broker. Each script is atomic and runs on the server's clock.

What a queue is made of, all under one hash tag so that Redis Cluster keeps it together:

    ids        list    who waits, next one first; ids whose package was deleted are skipped
    packages   hash    id -> payload
    leases     zset    id -> when the lease lapses, in microseconds
    holds      hash    id -> "deliveries:token"; no token while it waits, no field before a delivery
    delayed    zset    id -> when it is due
    bell       list    one element when there is news; idle workers block on it and lose nothing
    ghosts     number  how many of `ids` have no package any more
    sent       string  the last call of one producer, so that a repeated one keeps nothing twice
    plain      list    what older producers push into; not in Redis Cluster (another slot)

A package is in one of ids, leases and delayed; a token is in `holds` while it is in leases. Within
one call each is timed a microsecond after the one before, which keeps their order. Commands of
Redis 6.2. An `unpack` may bring 7,999 values (LUAI_MAXCSTACK), so callers send BATCH packages or
receipts at most. A server that is out of memory refuses a script at its first write, unless that
write frees memory: therefore a removal comes first wherever work goes on.
"""

import hashlib
from typing import Any

from redis.exceptions import NoScriptError

#: Most packages or receipts in one call; a lease of 1,000 keeps the server busy for 5 ms.
BATCH = 1000
#: Bytes after which one call lends no more; workers that want more call again.
LEASE_SIZE = 8 * 2**20
#: Milliseconds for which a producer may repeat a call whose reply was lost.
SENT_LIFE = 60_000


class Script:
    """One script, called by its digest and sent in full to a server that does not know it."""

    def __init__(self, *parts: str) -> None:
        self.source = "\n".join(parts)
        self._sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def run(self, connection: Any, keys: list[str], *args: str | int | float) -> Any:
        """Run with these KEYS and ARGV; the reply."""
        try:
            return connection.evalsha(self._sha, len(keys), *keys, *args)
        except NoScriptError:
            # A server that was restarted has forgotten it; EVAL lets it remember.
            return connection.eval(self.source, len(keys), *keys, *args)


_CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

# One element is enough: whoever takes it and leaves packages behind rings for the next.
_RING = """
local function ring(bell)
  if redis.call('LLEN', bell) == 0 then redis.call('RPUSH', bell, 1) end
end
"""

# Which receipts (id, token, id, token... from ARGV[first] on) still hold their package, each once.
_HELD = """
local function still_held(holds, first)
  local ids, found, places, seen = {}, {}, {}, {}
  for i = first, #ARGV, 2 do ids[#ids + 1] = ARGV[i] end
  local values = redis.call('HMGET', holds, unpack(ids))
  for place, id in ipairs(ids) do
    local value, token = values[place], ':' .. ARGV[first + 2 * place - 1]
    if value and token ~= ':' and string.sub(value, -#token) == token and not seen[id] then
      seen[id] = true
      found[#found + 1], places[#places + 1] = id, place
    end
  end
  return found, places, values
end
"""

#: Keep packages, at the end or held back.
ENQUEUE = Script(
    _CLOCK,
    _RING,
    f"local SENT_LIFE = {SENT_LIFE}",
    """
local ids, packages, delayed, bell, sent = unpack(KEYS)
local call, delay = ARGV[1], tonumber(ARGV[2])
if redis.call('GET', sent) == call then return 0 end
redis.call('SET', sent, call, 'PX', SENT_LIFE)
redis.call('HSET', packages, unpack(ARGV, 3))
local new = {}
for i = 3, #ARGV, 2 do
  if delay > 0 then new[#new + 1] = now + delay + i end
  new[#new + 1] = ARGV[i]
end
if delay > 0 then redis.call('ZADD', delayed, unpack(new))
else redis.call('RPUSH', ids, unpack(new)) end
ring(bell)
return 1
""",
)

#: Keep packages where django-q2 looks for them.
ENQUEUE_PLAIN = Script(
    _RING,
    f"local SENT_LIFE = {SENT_LIFE}",
    """
local plain, bell, sent = unpack(KEYS)
if redis.call('GET', sent) == ARGV[1] then return 0 end
redis.call('SET', sent, ARGV[1], 'PX', SENT_LIFE)
redis.call('RPUSH', plain, unpack(ARGV, 2))
ring(bell)
return 1
""",
)

#: Lend: first what lapsed, then what is due, then what waits.
#: Gives {microseconds until the next is due or -1, id, payload, deliveries, id, ...}.
LEASE = Script(
    _CLOCK,
    _RING,
    f"local LEASE_SIZE = {LEASE_SIZE}",
    """
local ids, packages, leases, holds, delayed, bell, ghosts, plain = unpack(KEYS)
local token, limit, retry, seed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local taken, payloads, missing, size, largest = {}, {}, 0, 0, 1

-- How many to take next: a few at first, then as many as fit if none is larger than those.
local function room()
  local fit = #taken == 0 and 4 or math.floor((LEASE_SIZE - size) / largest)
  return math.min(limit - #taken, fit)
end

local function add(id, payload)
  taken[#taken + 1], payloads[#payloads + 1] = id, payload
  size, largest = size + #payload, math.max(largest, #payload)
end

local function take(some)
  for i, payload in ipairs(redis.call('HMGET', packages, unpack(some))) do
    if payload then add(some[i], payload) else missing = missing + 1 end
  end
end

for _, timed in ipairs({leases, delayed}) do
  while room() > 0 do
    local due = redis.call('ZRANGEBYSCORE', timed, '-inf', now, 'LIMIT', 0, room())
    if #due == 0 then break end
    redis.call('ZREM', timed, unpack(due))
    take(due)
  end
end
-- What older producers left queues up behind the others, so that neither has to wait for ever.
local adopted, volume = 0, 0
while plain and adopted < limit and volume < LEASE_SIZE do
  local old = redis.call('LPOP', plain, math.min(limit - adopted, 10))
  if not old then break end
  for _, payload in ipairs(old) do
    local id = seed .. string.format('%08x', adopted)
    redis.call('HSET', packages, id, payload)
    redis.call('RPUSH', ids, id)
    adopted, volume = adopted + 1, volume + #payload
  end
end
while room() > 0 do
  local some = redis.call('LPOP', ids, room())
  if not some then break end
  take(some)
end
if missing > 0 then redis.call('DECRBY', ghosts, missing) end

if #taken == 0 then
  -- What it rang for is gone, or is not due yet.
  redis.call('DEL', bell)
  local soonest = -1
  for _, timed in ipairs({leases, delayed}) do
    local first = redis.call('ZRANGE', timed, 0, 0, 'WITHSCORES')[2]
    local left = first and math.max(1, first - now)
    if left and (soonest < 0 or left < soonest) then soonest = left end
  end
  return {soonest}
end

local before = redis.call('HMGET', holds, unpack(taken))
local held, lapse, reply = {}, {}, {0}
for i, id in ipairs(taken) do
  local count = (before[i] and tonumber(string.match(before[i], '^%d+')) or 0) + 1
  held[2 * i - 1], held[2 * i] = id, count .. ':' .. token
  lapse[2 * i - 1], lapse[2 * i] = now + retry + i, id
  reply[3 * i - 1], reply[3 * i], reply[3 * i + 1] = id, payloads[i], count
end
redis.call('HSET', holds, unpack(held))
redis.call('ZADD', leases, unpack(lapse))
if redis.call('LLEN', ids) > 0 or plain and redis.call('LLEN', plain) > 0 then ring(bell) end
return reply
""",
)

#: Remove what these receipts hold.
ACKNOWLEDGE = Script(
    _HELD,
    """
local packages, leases, holds = unpack(KEYS)
local done = still_held(holds, 1)
if #done > 0 then
  redis.call('HDEL', packages, unpack(done))
  redis.call('HDEL', holds, unpack(done))
  redis.call('ZREM', leases, unpack(done))
end
return #done
""",
)

#: Prolong what these receipts hold. Gives their places among the arguments.
RENEW = Script(
    _CLOCK,
    _HELD,
    """
local leases, holds = unpack(KEYS)
-- Removes nothing; without it a server that is out of memory would refuse the ZADD.
redis.call('HDEL', holds, '')
local lapse, found, places = {}, still_held(holds, 2)
for i, id in ipairs(found) do
  lapse[2 * i - 1], lapse[2 * i] = now + ARGV[1] + i, id
end
if #places > 0 then redis.call('ZADD', leases, unpack(lapse)) end
return places
""",
)

#: Give back what these receipts hold, to the front or held back. Gives how many they were.
RELEASE = Script(
    _CLOCK,
    _RING,
    f"local LEASE_SIZE = {LEASE_SIZE}",
    _HELD,
    """
local ids, leases, holds, delayed, bell = unpack(KEYS)
local delay, forget = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, places, values = still_held(holds, 3)
if #found == 0 then return 0 end
local back, due = {}, {}
for i, id in ipairs(found) do
  -- The last of them is pushed first.
  back[#found - i + 1] = id
  due[2 * i - 1], due[2 * i] = now + delay + i, id
end
redis.call('ZREM', leases, unpack(back))
for i, id in ipairs(found) do
  local count = string.match(values[places[i]], '^%d+') - forget
  if count > 0 then redis.call('HSET', holds, id, count .. ':')
  else redis.call('HDEL', holds, id) end
end
if delay > 0 then redis.call('ZADD', delayed, unpack(due))
else redis.call('LPUSH', ids, unpack(back)) end
ring(bell)
return #found
""",
)

#: Remove one package wherever it is; its id stays in the list of those who wait, to be skipped.
DELETE = Script("""
local packages, leases, holds, delayed, ghosts = unpack(KEYS)
if redis.call('HDEL', packages, ARGV[1]) == 0 then return 0 end
redis.call('HDEL', holds, ARGV[1])
if redis.call('ZREM', leases, ARGV[1]) + redis.call('ZREM', delayed, ARGV[1]) == 0 then
  redis.call('INCR', ghosts)
end
return 1
""")

#: Count. Gives {what may be leased now, what is leased}.
SIZES = Script(
    _CLOCK,
    """
local ids, leases, delayed, ghosts, plain = unpack(KEYS)
local waiting = redis.call('LLEN', ids) - (redis.call('GET', ghosts) or 0)
if plain then waiting = waiting + redis.call('LLEN', plain) end
local lapsed = redis.call('ZCOUNT', leases, '-inf', now)
waiting = waiting + lapsed + redis.call('ZCOUNT', delayed, '-inf', now)
return {waiting, redis.call('ZCARD', leases) - lapsed}
""",
)
