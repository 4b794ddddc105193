"""How the Redis broker lends: the script, and the wait for it. Its keys: `redis_scripts`."""

from typing import Any

from redis.exceptions import NoScriptError

from django_q.brokers.redis_connect import is_cluster
from django_q.brokers.redis_lines import Lines
from django_q.brokers.redis_scripts import AS_BYTES, BATCH, CLOCK, PLACE, RANKS, RING, Script

#: Bytes after which one call lends no more; workers that want more call again.
LEASE_SIZE = 8 * 2**20

# One package, where nothing could come before the others that wait, nor after them: so it is on an
# idle cluster, and there each command costs several times what it costs a busy server.
_SHORT_WAY = """
local ids, packages, leases, holds, delayed, bell, ghosts, ranked, later, plain = unpack(KEYS)
local token, limit, retry, seed = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local taken, payloads, missing, size, largest = {}, {}, 0, 0, 1
if limit == 1 and redis.call('EXISTS', leases, delayed, ranked, later, plain or leases) == 0 then
  local id = redis.call('LPOP', ids)
  local payload = id and redis.call('HGET', packages, id)
  if payload then
    local count = 1
    if redis.call('HSETNX', holds, id, '1:' .. token) == 0 then
      count = string.match(redis.call('HGET', holds, id), '^%d+') + 1
      redis.call('HSET', holds, id, count .. ':' .. token)
    end
    redis.call('ZADD', leases, now + retry, id)
    if redis.call('EXISTS', ids) == 1 then ring(bell) end
    return {0, id, payload, count}
  end
  if id then missing = 1 end
end
"""

#: Lend: first what lapsed; of the rest those with a high priority, then what was due and what waits
#: without one, then those with a low one.
#: Gives {microseconds until the next is due or -1, id, payload, deliveries, id, ...}.
LEASE = Script(
    CLOCK,
    RING,
    _SHORT_WAY,
    RANKS,
    f"local LEASE_SIZE, BATCH, PLACE = {LEASE_SIZE}, {BATCH}, {PLACE}",
    """
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

local function take_due(timed)
  while room() > 0 do
    local due = redis.call('ZRANGEBYSCORE', timed, '-inf', now, 'LIMIT', 0, room())
    if #due == 0 then break end
    redis.call('ZREM', timed, unpack(due))
    take(due)
  end
end

local function take_ranked(from, to)
  while room() > 0 do
    local some = redis.call('ZRANGEBYSCORE', ranked, from, to, 'LIMIT', 0, room())
    if #some == 0 then break end
    redis.call('ZREM', ranked, unpack(some))
    for i, member in ipairs(some) do some[i] = string.sub(member, PLACE + 1) end
    take(some)
  end
end

take_due(leases)
-- Those that are due and have a priority wait in turn with the others that have one.
local due = redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, BATCH)
if #due > 0 then
  redis.call('ZREM', later, unpack(due))
  local new = {}
  for i, id in ipairs(due) do new[2 * i - 1], new[2 * i] = -rank_of(id), at_end(i, id) end
  redis.call('ZADD', ranked, unpack(new))
end
local has_ranked = redis.call('ZCARD', ranked) > 0
if has_ranked then take_ranked('-inf', '(0') end
take_due(delayed)
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
if has_ranked then take_ranked('(0', '+inf') end
if missing > 0 then redis.call('DECRBY', ghosts, missing) end

if #taken == 0 then
  -- What it rang for is gone, or is not due yet.
  redis.call('DEL', bell)
  local soonest = -1
  for _, timed in ipairs({leases, delayed, later}) do
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
local left = redis.call('LLEN', ids) + redis.call('ZCARD', ranked)
if left > 0 or plain and redis.call('LLEN', plain) > 0 then ring(bell) end
return reply
""",
)


def lend_at_bell(
    connection: Any, bell: str, seconds: float, keys: list[str], args: tuple[str | int, ...]
) -> Any:
    """Wait for the bell and lend, sent as one: a round trip less before each task.

    The server lends when it rings, even if nobody is there any more to read the reply: a worker
    that is frozen, or a machine without power. Ask for one package, then, and not for a batch.
    """
    if is_cluster(connection):
        # Its pipeline takes no scripts.
        connection.blpop([bell], seconds)
        return LEASE.run(connection, keys, *args)
    if isinstance(connection, Lines):
        rung, reply = connection.together(("BLPOP", bell, seconds), LEASE.words(keys, *args))
    else:
        with connection.pipeline(transaction=False) as pipeline:
            pipeline.blpop([bell], seconds)
            pipeline.execute_command(*LEASE.words(keys, *args), **AS_BYTES)
            rung, reply = pipeline.execute(raise_on_error=False)
    if isinstance(reply, NoScriptError):
        reply = LEASE.run(connection, keys, *args)
    if isinstance(reply, Exception):
        raise reply
    if isinstance(rung, Exception) and len(reply) == 1:
        # What was lent is had, whatever came of the bell.
        raise rung
    return reply
