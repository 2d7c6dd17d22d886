"""Methods by comparison with pamqp: what we read of it, and what it reads of us."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.base import Frame

from common.broker.fastlane import methods
from common.broker.fastlane.wire import FrameError, text_of
from support.wire import payload, short

SHORT = st.text(max_size=255).filter(lambda text: len(text.encode()) <= 255)
NAMES = st.text("abc.-_", max_size=127)
"""pamqp checks the names that it writes."""
TAGS = st.integers(0, 2**63 - 1)
CHANNELS = st.integers(1, 65535)


def assert_is(data: bytes, channel: int, wanted: Frame) -> None:
    """Say that these bytes are one whole frame with this method, and nothing more."""
    consumed, number, found = frame.unmarshal(data)
    assert (consumed, number, type(found)) == (len(data), channel, type(wanted))
    assert isinstance(found, Frame)
    assert dict(found) == dict(wanted)


def test_each_kind_is_the_number_that_amqp_gives_it() -> None:
    for kind, known in (
        (methods.CONNECTION_CLOSE, commands.Connection.Close),
        (methods.CONNECTION_BLOCKED, commands.Connection.Blocked),
        (methods.CONNECTION_UNBLOCKED, commands.Connection.Unblocked),
        (methods.CHANNEL_CLOSE, commands.Channel.Close),
        (methods.RETURN, commands.Basic.Return),
        (methods.DELIVER, commands.Basic.Deliver),
        (methods.ACK, commands.Basic.Ack),
        (methods.NACK, commands.Basic.Nack),
    ):
        assert kind == known.index
        assert methods.kind_of(known.index.to_bytes(4, "big") + b"fields") == kind


@given(st.binary(max_size=3))
def test_what_is_too_short_for_a_method_is_none(data: bytes) -> None:
    assert methods.kind_of(data) == 0


@given(consumer=SHORT, tag=TAGS, redelivered=st.booleans(), exchange=NAMES, key=SHORT)
def test_a_delivery_of_pamqps_is_read(
    *, consumer: str, tag: int, redelivered: bool, exchange: str, key: str
) -> None:
    sent = commands.Basic.Deliver(consumer, tag, redelivered, exchange, key)

    found = methods.decode_deliver(payload(sent))

    assert (found.tag, found.redelivered) == (tag, redelivered)
    assert (found.exchange, found.routing_key) == (exchange, key)


@given(st.integers(0, 65535), SHORT, NAMES, SHORT)
def test_a_return_of_pamqps_is_read(code: int, text: str, exchange: str, key: str) -> None:
    sent = commands.Basic.Return(code, text, exchange, key)

    assert methods.decode_return(payload(sent)) == methods.Return(code, text, exchange, key)


@given(tag=TAGS, multiple=st.booleans(), requeue=st.booleans())
def test_a_confirm_of_pamqps_is_read(*, tag: int, multiple: bool, requeue: bool) -> None:
    ack = commands.Basic.Ack(tag, multiple)
    nack = commands.Basic.Nack(tag, multiple, requeue)

    assert methods.decode_settled(payload(ack)) == (tag, multiple)
    assert methods.decode_settled(payload(nack)) == (tag, multiple)


@given(st.integers(0, 65535), SHORT)
def test_why_something_was_closed_or_blocked_is_read(code: int, text: str) -> None:
    for kind in (commands.Channel.Close, commands.Connection.Close):
        assert methods.decode_close(payload(kind(code, text, 60, 40))) == (code, text)
    assert methods.decode_reason(payload(commands.Connection.Blocked(text))) == text


@given(st.binary(max_size=255), st.binary(max_size=255))
def test_names_that_are_no_utf8_are_read_and_written_back(exchange: bytes, key: bytes) -> None:
    route = short(exchange) + short(key)
    delivered = (
        payload(commands.Basic.Deliver("c", 1, exchange="", routing_key=""))[: 4 + 2 + 9] + route
    )

    found = methods.decode_deliver(delivered)

    assert (found.exchange, found.routing_key) == (text_of(exchange), text_of(key))
    assert route in methods.publish_frame(1, found.exchange, found.routing_key)


@given(CHANNELS, NAMES, SHORT)
def test_pamqp_reads_our_publish(channel: int, exchange: str, key: str) -> None:
    wanted = commands.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True)

    assert_is(methods.publish_frame(channel, exchange, key), channel, wanted)


@given(channel=CHANNELS, tag=TAGS, multiple=st.booleans())
def test_pamqp_reads_our_settles(*, channel: int, tag: int, multiple: bool) -> None:
    ack = methods.ack_frame(channel, tag, multiple=multiple)

    assert_is(ack, channel, commands.Basic.Ack(tag, multiple))
    assert_is(methods.nack_frame(channel, tag), channel, commands.Basic.Nack(tag))
    assert_is(methods.reject_frame(channel, tag), channel, commands.Basic.Reject(tag))


@pytest.mark.parametrize("name", ["x" * 256, "\ud800"], ids=["too long", "half a pair"])
def test_a_name_that_amqp_does_not_hold_is_refused(name: str) -> None:
    for exchange, key in ((name, "k"), ("e", name)):
        with pytest.raises(FrameError):
            methods.publish_frame(1, exchange, key)


DECODERS: list[tuple[Frame, Callable[[bytes], object]]] = [
    (
        commands.Basic.Deliver("consumer", 1, exchange="exchange", routing_key="key"),
        methods.decode_deliver,
    ),
    (commands.Basic.Return(312, "NO_ROUTE", "exchange", "key"), methods.decode_return),
    (commands.Basic.Ack(1, multiple=True), methods.decode_settled),
    (commands.Channel.Close(404, "NOT_FOUND", 60, 40), methods.decode_close),
    (commands.Connection.Blocked("low on memory"), methods.decode_reason),
]


@pytest.mark.parametrize(("sent", "decoder"), DECODERS, ids=lambda one: getattr(one, "name", ""))
def test_a_method_that_is_cut_off_is_a_frame_error(
    sent: Frame, decoder: Callable[[bytes], object]
) -> None:
    whole = payload(sent)
    fields = whole[:-4] if isinstance(sent, commands.Channel.Close) else whole  # what we read of it

    assert decoder(whole)
    for end in range(4, len(fields)):
        with pytest.raises(FrameError):
            decoder(fields[:end])
