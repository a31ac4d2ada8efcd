"""The rule by which processes share the limit, as one Lua script that runs on the server, by the server's clock.

The state is one value under one key, so that it also works on a cluster: the times of the latest slots, a queue of
processes for calls and one for streams, the day's count and the pause. All times are whole microseconds.

A server that was started again, or another one, may have no state or an old one. Then whatever may have been sent a
moment ago counts as sent, and with its next request every process tells how far it knows the day's count.

A slot is only given when it is about to come. A process that asks too early, or is not the first of its queue, is told
the time that its slot will probably have, and asks again shortly before it. So nothing is promised far ahead that a
pause, or the loss of the state, would have to take back.
"""

from typing import Final

import attrs

LEAD: Final = 0.03
"""Seconds before its slot at which a process wants to have the response."""

SCRIPT: Final = """
local op, me, kind, epoch = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local n = {}
for i = 5, #ARGV do n[i - 4] = tonumber(ARGV[i]) end
local rate, per, margin, daily, rtt, lead, more, back, wish, chance = unpack(n, 1, 10)
local known_at, known_day, known_used, known_spent = unpack(n, 11)
local DAY, t = 86400e6, redis.call('TIME')
local now = t[1] * 1e6 + t[2]
local horizon = rtt + 2 * lead

local raw = redis.call('GET', KEYS[1])
local s = raw and cmsgpack.unpack(raw)
if not s then
    s = {slots = {}, c = {}, s = {}, day = math.floor(now / DAY), used = 0, spent = 0, pause = 0, length = 0,
         refusals = 0, row = 0, at = 0}
end

-- A clock that was set back, or that of another server, must not block anything for long.
local longest = math.max(60e6, 12 * (per + 4 * margin)) + 1e6
for i, at in ipairs(s.slots) do if at > now + 5e6 then s.slots[i] = now + i end end

local function allowed(since) return rate * (1 + math.ceil(math.max(0, now - since) / per)) end
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or 'unknown'
if s.run ~= run then
    s.run, s.epoch, s.born = run, string.format('%s %.0f', me, now), now
    s.base, s.most = s.used, s.used + allowed(s.at)
    local last = math.max(now + horizon, s.slots[#s.slots] or 0)
    for i = 1, rate do table.insert(s.slots, last + i) end
end
s.pause = math.min(s.pause, now + longest)

local function roll(at)
    local day = math.floor(at / DAY)
    if day + 1 == s.day and s.day * DAY - at < 5e6 then return end -- a slot just after midnight is given already
    if day > s.day then
        s.used, s.base, s.most = 0, 0, now
        -- What is sent just before midnight may arrive after it.
        for _, sent in ipairs(s.slots) do if sent >= day * DAY - 2e6 then s.used = s.used + 1 end end
    end
    s.day = day
    s.spent = math.min(s.spent, (day + 1) * DAY)
end
roll(now)

-- The most that the count can have been when the state was lost: what this process knew, and what the others can have
-- sent since, of which they know better after a minute.
if epoch ~= s.epoch and known_day == s.day then
    local most = math.min(known_used + allowed(now - math.min(s.born - known_at, 60e6)), s.most)
    if most > s.base then s.used, s.base = s.used + most - s.base, most end
end
s.spent = math.max(s.spent, math.min(known_spent, (s.day + 1) * DAY))

if back > 0 then
    for i = #s.slots, 1, -1 do
        if s.slots[i] == back then
            table.remove(s.slots, i)
            if math.floor(back / DAY) == s.day then s.used = math.max(0, s.used - 1) end
            if kind == 's' then s.row = 3 end
        end
    end
end

local function widenings()
    if s.refusals == 0 then return 0 end
    return math.max(0, s.refusals - math.floor(math.max(0, now - s.pause) / 30e6))
end
local window = per + margin * widenings()
local space = math.ceil(0.95 * window / rate)

-- The slot that will probably be that of the process in this place of its queue.
local function slot(which, place)
    local slots = {}
    for i, at in ipairs(s.slots) do slots[i] = at end
    local at
    for _ = 0, place do
        at = math.max(now + math.floor(rtt / 2), s.pause)
        local k = #slots
        if k >= rate then at = math.max(at, slots[k - rate + 1] + window) end
        if k > 0 then
            -- After a pause all are spaced, because the API may not accept a whole burst yet.
            local spaced = which == 's' or at < s.pause + window
            at = math.max(at, slots[k] + (spaced and space or 1))
        end
        slots[k + 1] = at
    end
    return at
end

-- Who has let its slot pass is gone, or comes again at the end of the queue.
local function prune(queue)
    for i = #queue, 1, -1 do
        local at = queue[i][2]
        if queue[i][1] ~= me and (now > at + space / 2 or at > now + 2 * longest) then table.remove(queue, i) end
    end
end
prune(s.c)
prune(s.s)
local queue, place = s[kind], nil
for i, entry in ipairs(queue) do if entry[1] == me then place = i end end

local status, at, following = 'wait', 0, 0
if op == 'ask' then
    at = slot(kind, 0)
    local blocked = #s.c > 0 and s.row < 3
    if kind == 'c' then blocked = #s.s > 0 and s.row >= 3 end
    if now < s.spent or (daily > 0 and math.floor(at / DAY) == s.day and s.used >= daily) then
        status, at = 'spent', now < s.spent and s.spent or (s.day + 1) * DAY
        if place then table.remove(queue, place) end
    elseif (place or #queue + 1) == 1 and not blocked and at <= now + horizon then
        status = 'go'
        if place then table.remove(queue, place) end
        roll(at)
        table.insert(s.slots, at)
        while #s.slots > 2 * rate do table.remove(s.slots, 1) end
        s.used = s.used + 1
        if kind == 'c' and #s.s > 0 then s.row = s.row + 1 else s.row = 0 end
        if more > 0 then
            following = slot(kind, #queue)
            table.insert(queue, {me, following})
        end
    else
        if not place then
            table.insert(queue, {me, 0})
            place = #queue
        end
        at = slot(kind, place - 1 + (not blocked and 0 or kind == 'c' and 1 or #s.c))
        -- Whoever has to let others go first asks again no sooner than these can have come.
        at = math.max(at, now + horizon + (blocked and math.floor(space / 4) or 0))
        queue[place][2] = at
    end
elseif op == 'leave' then
    if place then table.remove(queue, place) end
elseif op == 'refused' then
    if now >= s.pause and (s.slots[#s.slots] or 0) >= s.pause then
        local calm = now - s.pause > 2 * window
        s.refusals = math.min(widenings() + 1, 3)
        s.length = calm and window or math.min(s.length * 2, 8 * window)
        s.pause = now + math.floor(math.max(s.length, wish) + chance * s.length / 2)
    else
        s.pause = math.max(s.pause, now + wish)
    end
    at = s.pause
elseif op == 'spent' and now >= s.spent then
    -- Just after midnight the API may still speak of the day before.
    s.spent = now - s.day * DAY < 300e6 and now + 60e6 or (s.day + 1) * DAY
end
s.at = now
redis.call('SET', KEYS[1], cmsgpack.pack(s), 'PX', 172800000)
return {status, now, at, following, s.used, s.day, s.spent, s.epoch}
"""


@attrs.frozen
class Reply:
    """What the script returned, its times in seconds of the server's clock."""

    status: str
    now: float
    at: float
    """The slot, if status is `go`; when to expect one, if it is `wait`; when the quota resets, if it is `spent`."""
    following: float
    """When to expect the slot after this one; 0 if none was asked for."""
    used: int
    day: int
    """Days since the epoch, in UTC."""
    spent: float
    """Until when the API has called the quota exhausted."""
    epoch: str
    """Identifies the state: another one, if it was lost."""
    slot: int
    """The slot in the form in which it can be given back."""

    @classmethod
    def parse(cls, raw: list[bytes | str | int]) -> "Reply":
        """Read the response of the server."""
        status, now, at, following, used, day, spent, epoch = raw
        return cls(
            status=_text(status),
            now=int(now) / 1e6,
            at=int(at) / 1e6,
            following=int(following) / 1e6,
            used=int(used),
            day=int(day),
            spent=int(spent) / 1e6,
            epoch=_text(epoch),
            slot=int(at),
        )


def _text(value: bytes | str | int) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
