"""The Lua of the Redis broker. Each script is atomic and runs on the server's clock.

What a queue is made of, all under one hash tag so that Redis Cluster keeps it together:

    ids        list    who waits, next one first; ids whose package was deleted are skipped
    ranked     zset    place and id -> minus its priority: who waits and has one
    packages   hash    id -> payload
    leases     zset    id -> when the lease lapses, in microseconds
    holds      hash    id -> "deliveries:token"; no token while it waits, no field before a delivery
    delayed    zset    id -> when it is due
    later      zset    the same for ids that have a priority
    bell       list    one element when there is news; idle workers block on it and lose nothing
    ghosts     number  how many of `ids` and `ranked` have no package any more
    sent       string  the last call of one producer, so that a repeated one keeps nothing twice;
                       a call that it did not wait for has one of its own, for a minute as well
    plain      list    what older producers push into; not in Redis Cluster (another slot)

A package is in one of ids, ranked, leases, delayed and later; a token is in `holds` while it is in
leases. Its priority, unless that is 0, is the end of its id ("...~-50"), and so known wherever the
id is. Within
one call each is timed a microsecond after the one before, which keeps their order. Commands of
Redis 6.2. An `unpack` may bring 7,999 values (LUAI_MAXCSTACK), so callers send BATCH packages or
receipts at most. A server that is out of memory refuses a script at its first write, unless that
write frees memory: therefore a removal comes first wherever work goes on.
"""

import hashlib
from typing import Any

from redis.client import NEVER_DECODE
from redis.exceptions import NoScriptError

#: Most packages or receipts in one call; a lease of 1,000 keeps the server busy for 5 ms.
BATCH = 1000
#: Stands between an id and its priority.
RANK = "~"
#: Milliseconds for which a producer may repeat a call whose reply was lost.
SENT_LIFE = 60_000
#: For redis-py: a project's own client may decode, and would stumble over packages that are bytes.
AS_BYTES: dict[str, Any] = {NEVER_DECODE: True}


class Script:
    """One script, called by its digest and sent in full to a server that does not know it."""

    def __init__(self, *parts: str) -> None:
        self.source = "\n".join(parts)
        self._sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def run(self, connection: Any, keys: list[str], *args: str | bytes | float) -> Any:
        """Run with these KEYS and ARGV; the reply."""
        words = (len(keys), *keys, *args)
        try:
            return connection.execute_command("EVALSHA", self._sha, *words, **AS_BYTES)
        except NoScriptError:
            # A server that was restarted has forgotten it; EVAL lets it remember.
            return connection.execute_command("EVAL", self.source, *words, **AS_BYTES)

    def words(self, keys: list[str], *args: str | int | float) -> tuple[str | int | float, ...]:
        """Give the command that runs it on a server that knows it, to be sent along with others."""
        return ("EVALSHA", self._sha, len(keys), *keys, *args)


CLOCK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
"""

# One element is enough: whoever takes it and leaves packages behind rings for the next.
RING = """
local function ring(bell)
  if redis.call('LLEN', bell) == 0 then redis.call('RPUSH', bell, 1) end
end
"""

# Whether this call of a producer was heard before; it repeats one whose reply was lost.
_HEARD = f"""
local function is_heard(sent, call)
  return redis.call('SET', sent, call, 'PX', {SENT_LIFE}, 'GET') == call
end
"""

# Priorities. In `ranked` the rank is the score; among equals the member counts, which begins with
# the place: "1", the moment and a number for those at the end, "0" and what is left of all moments
# for those that were given back, so that the last of these calls stands in front.
PLACE = 21
RANKS = """
local function rank_of(id)
  return #id > 32 and tonumber(string.match(id, '~(-?%d+)$')) or 0
end
local function at_end(i, id) return string.format('1%016.0f%04d', now, i) .. id end
local function in_front(i, id) return string.format('0%016.0f%04d', 9e15 - now, i) .. id end
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

#: Keep packages at the end of those without a priority; each task of most sites comes this way.
ENQUEUE = Script(
    RING,
    _HEARD,
    """
local ids, packages, bell, sent = unpack(KEYS)
if is_heard(sent, ARGV[1]) then return 0 end
redis.call('HSET', packages, unpack(ARGV))
local new = {}
for i = 1, #ARGV, 2 do new[#new + 1] = ARGV[i] end
redis.call('RPUSH', ids, unpack(new))
ring(bell)
return 1
""",
)

#: Keep packages that have a priority, or are held back.
ENQUEUE_IN_TURN = Script(
    CLOCK,
    RING,
    RANKS,
    _HEARD,
    """
local packages, delayed, bell, sent, ranked, later = unpack(KEYS)
local delay = tonumber(ARGV[1])
if is_heard(sent, ARGV[2]) then return 0 end
redis.call('HSET', packages, unpack(ARGV, 2))
local rank, new = rank_of(ARGV[2]), {}
for i = 2, #ARGV, 2 do
  local id = ARGV[i]
  if delay > 0 then new[#new + 1] = now + delay + i
  else new[#new + 1], id = -rank, at_end(i, id) end
  new[#new + 1] = id
end
if delay == 0 then redis.call('ZADD', ranked, unpack(new))
else redis.call('ZADD', rank ~= 0 and later or delayed, unpack(new)) end
ring(bell)
return 1
""",
)

#: Keep packages where django-q2 looks for them.
ENQUEUE_PLAIN = Script(
    RING,
    _HEARD,
    """
local plain, bell, sent = unpack(KEYS)
if is_heard(sent, ARGV[1]) then return 0 end
redis.call('RPUSH', plain, unpack(ARGV, 2))
ring(bell)
return 1
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
    CLOCK,
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
    CLOCK,
    RING,
    RANKS,
    _HELD,
    """
local ids, leases, holds, delayed, bell, ranked, later = unpack(KEYS)
local delay, forget = tonumber(ARGV[1]), tonumber(ARGV[2])
local found, places, values = still_held(holds, 3)
if #found == 0 then return 0 end
redis.call('ZREM', leases, unpack(found))
-- Of those without a priority the last is pushed first.
local back, plain, high = {}, {}, {}
for i = #found, 1, -1 do
  local id = found[i]
  local rank = rank_of(id)
  local list = rank == 0 and plain or high
  if rank == 0 then back[#back + 1] = id end
  list[#list + 1] = delay > 0 and now + delay + i or -rank
  list[#list + 1] = delay > 0 and id or in_front(i, id)
end
for i, id in ipairs(found) do
  local count = string.match(values[places[i]], '^%d+') - forget
  if count > 0 then redis.call('HSET', holds, id, count .. ':')
  else redis.call('HDEL', holds, id) end
end
if #high > 0 then redis.call('ZADD', delay > 0 and later or ranked, unpack(high)) end
if #back > 0 and delay > 0 then redis.call('ZADD', delayed, unpack(plain))
elseif #back > 0 then redis.call('LPUSH', ids, unpack(back)) end
ring(bell)
return #found
""",
)

#: Remove one package wherever it is; its id stays in the list of those who wait, to be skipped.
DELETE = Script("""
local packages, leases, holds, delayed, ghosts, later = unpack(KEYS)
local id = ARGV[1]
if redis.call('HDEL', packages, id) == 0 then return 0 end
redis.call('HDEL', holds, id)
local timed = redis.call('ZREM', leases, id) + redis.call('ZREM', delayed, id)
if timed + redis.call('ZREM', later, id) == 0 then redis.call('INCR', ghosts) end
return 1
""")

#: Count. Gives {what may be leased now, what is leased}.
SIZES = Script(
    CLOCK,
    """
local ids, leases, delayed, ghosts, ranked, later, plain = unpack(KEYS)
local waiting = redis.call('LLEN', ids) + redis.call('ZCARD', ranked)
waiting = waiting - (redis.call('GET', ghosts) or 0) + redis.call('ZCOUNT', later, '-inf', now)
if plain then waiting = waiting + redis.call('LLEN', plain) end
local lapsed = redis.call('ZCOUNT', leases, '-inf', now)
waiting = waiting + lapsed + redis.call('ZCOUNT', delayed, '-inf', now)
return {waiting, redis.call('ZCARD', leases) - lapsed}
""",
)
