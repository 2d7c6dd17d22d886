"""What the shop does with events: run as `tidings consumer shop.handlers`."""

from pydantic import BaseModel

from tidings import Context, Reject, handler


class Order(BaseModel):
    order: int
    total: float


@handler("order.created")
async def charge(order: Order, ctx: Context) -> None:
    if order.total < 0:
        raise Reject("a negative total")
    ctx.logger.info("charged", order=order.order, total=order.total, attempt=ctx.attempt)
