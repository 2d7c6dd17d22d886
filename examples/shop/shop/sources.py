"""Where the shop's events come from: run as `tidings producer shop.sources`."""

from itertools import count

from tidings import Event, source

_numbers = count(1)


@source(every="1s")
async def orders() -> Event:
    number = next(_numbers)
    return Event("order.created", {"order": number, "total": number * 1.5})
