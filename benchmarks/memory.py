"""The peak memory of streaming 20,000 and 200,000 full contacts: each in a process of its own, as is the server.

`python -m benchmarks.memory [SIZE ...]`; about a minute.
"""

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cc_async import ConstantContact, RateLimiter

from .ceiling import serving

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
    """The megabytes that a process takes at most which streams that many contacts."""
    with serving(contacts=size, rate=None, daily=None) as server:
        command = [sys.executable, "-m", __spec__.name, "--read", server.base_url, server.token]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=Path(__file__).parents[1])  # noqa: S603  # this file
        found = json.loads(done.stdout)
    if found["contacts"] != size:
        raise AssertionError(f"{found['contacts']} of {size} contacts came")
    return float(found["megabytes"])


def main(sizes: Sequence[int] = SIZES) -> dict[int, float]:
    """Measure, print the table and return the megabytes by size."""
    results = {size: peak(size) for size in sizes}
    least = min(results.values())
    print("contacts  peak MB  more than the least")
    for size, megabytes in results.items():
        print(f"{size:8,}{megabytes:9.1f}{megabytes / least - 1:21.1%}")
    return results


if __name__ == "__main__":
    if sys.argv[1:2] == ["--read"]:
        contacts = asyncio.run(read(*sys.argv[2:4]))
        unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
        print(
            json.dumps({"contacts": contacts, "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit})
        )
    else:
        main([int(size.replace("_", "")) for size in sys.argv[1:]] or SIZES)
