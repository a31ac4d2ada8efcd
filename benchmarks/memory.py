"""The peak memory of streaming 20,000 and 200,000 full contacts: each in a process of its own, as is the server.

`python -m benchmarks.memory [SIZE ...]`; about a minute.
"""

import asyncio
import json
import sys
from collections.abc import Sequence

from cc_async import ConstantContact, RateLimiter

from .ceiling import serving
from .rounds import child, peak_memory

SIZES = (20_000, 200_000)
EVERYTHING = "custom_fields,list_memberships,taggings,notes,phone_numbers,street_addresses,sms_channel"


async def read(base_url: str, token: str) -> int:
    """Stream all contacts with everything they have, as fast as they come."""
    limiter = RateLimiter(10_000, daily=None)
    count = 0
    async with ConstantContact(token, base_url=base_url, rate_limiter=limiter) as cc:
        async for _ in cc.contacts.list(status="all", include=EVERYTHING):
            count += 1
    return count


def peak(size: int) -> float:
    """Return the most memory, in MiB, that a process holds while it streams that many contacts."""
    with serving(contacts=size, rate=None, daily=None) as server:
        found = child("-m", __spec__.name, "--read", server.base_url, server.token)
    if found["contacts"] != size:
        raise AssertionError(f"{found['contacts']} of {size} contacts came")
    return float(found["peak_mib"])


def main(sizes: Sequence[int] = SIZES) -> dict[int, float]:
    """Measure, print the table and return the MiB by size."""
    results = {size: peak(size) for size in sizes}
    least = min(results.values())
    print("contacts  peak MiB  more than the least")
    for size, mebibytes in results.items():
        print(f"{size:8,}{mebibytes:9.1f}{mebibytes / least - 1:21.1%}")
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        contacts = asyncio.run(read(*sys.argv[2:4]))
        print(json.dumps({"contacts": contacts, "peak_mib": peak_memory()}))
    else:
        main([int(size.replace("_", "")) for size in sys.argv[1:]] or SIZES)
