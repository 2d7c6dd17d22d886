"""The fast lane: our own frames for what moves events, on the connection that aio-pika keeps.

aiormq (below aio-pika) does the handshake, heartbeats, channels and every RPC. Deliveries, acks,
publishes, confirms and returns of our own channels never reach it: they are read from and written
to the same socket here, in a tenth of the time, and no malformed message can end the connection.

`transport` is the socket; `parser` cuts what it reads into frames; `deliveries` and `publisher` are
what travels on a channel, one each way; the rest is PURE: `wire`, `tables`, `properties`,
`methods`, `content` (the codec), `acks` and `confirms` (what is settled). Only the files beside
this folder import it.
"""
