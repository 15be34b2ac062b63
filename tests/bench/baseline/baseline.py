"""The baseline of `cargo bench-throughput`: a sync without changes, in Python, measured in the same run.

For each athlete it sends the same four requests, decodes the answers, and compares their digest with the digest of the
round before. It uses no table and no queue, so it does less than the connector does.

It reads one JSON object from the first line of standard input: `api`, `authorities` (a PEM file), `tokens` (one for each
athlete), `collections` (name to `fields`), `start`, `end`, `in_flight`. Each further line starts one round over all
athletes. After a round it prints for how many athletes the data had changed.
"""

import asyncio
import hashlib
import json
import ssl
import sys

import aiohttp


async def documents(session: aiohttp.ClientSession, url: str, query: dict[str, str], token: str) -> list:
    """Fetches all pages of one collection."""
    found, headers = [], {"Authorization": f"Bearer {token}", "Accept": "application/json"}
    following = dict(query)
    while True:
        async with session.get(url, params=following, headers=headers) as response:
            response.raise_for_status()
            page = await response.json()
        found.extend(page["data"])
        if not page.get("next_token"):
            return found
        following = query | {"next_token": page["next_token"]}


async def sync(session: aiohttp.ClientSession, work: dict, token: str) -> str:
    """Returns the digest of what Oura returns for one athlete."""
    days = {"start_date": work["start"], "end_date": work["end"]}
    answers = await asyncio.gather(
        *(
            documents(session, f"{work['api']}/v2/usercollection/{name}", days | {"fields": fields}, token)
            for name, fields in work["collections"].items()
        )
    )
    return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()


async def main() -> None:
    loop = asyncio.get_running_loop()
    work = json.loads(await loop.run_in_executor(None, sys.stdin.readline))
    digests: dict[str, str] = {}
    free = asyncio.Semaphore(work["in_flight"])
    context = ssl.create_default_context(cafile=work["authorities"])
    connector = aiohttp.TCPConnector(limit=0, ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def one(token: str) -> bool:
            async with free:
                digest = await sync(session, work, token)
            changed = digests.get(token) != digest
            digests[token] = digest
            return changed

        while await loop.run_in_executor(None, sys.stdin.readline):
            changed = sum(await asyncio.gather(*map(one, work["tokens"])))
            print(changed, flush=True)


asyncio.run(main())
