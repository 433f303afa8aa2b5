"""Any WebSocket client will do: this one is the Python library websockets, with the certificate checked as it should be.

Usage: foreign.py PORT CERTIFICATE TOKEN TICKET CHANNEL ITEM
"""

import asyncio
import json
import ssl
import sys

import websockets

PORT, CERTIFICATE, TOKEN, TICKET, CHANNEL, ITEM = sys.argv[1:]
URL = f"wss://localhost:{PORT}/v1/ws"
TLS = ssl.create_default_context(cafile=CERTIFICATE)


async def ask(socket, op, data):
    """Sends a command and gives its answer; events on the way are passed over."""
    await socket.send(json.dumps({"id": op, "op": op, "data": data}))
    while True:
        frame = json.loads(await socket.recv())
        if frame.get("id") == op:
            return frame


async def opened(**options):
    """A socket with its first frame, which is `hello`."""
    socket = await websockets.connect(URL, ssl=TLS, **options)
    hello = json.loads(await socket.recv())
    assert hello["type"] == "hello" and hello["proto"] == "carethread.v1", hello
    return socket, hello


async def main():
    bearer, hello = await opened(additional_headers={"Authorization": f"Bearer {TOKEN}"})
    assert hello["auth"] == "ok", hello
    first, hello = await opened(subprotocols=["carethread.v1"])
    assert hello["auth"] == "required" and first.subprotocol == "carethread.v1", hello
    answer = await ask(first, "login", {"token": TOKEN})
    assert answer["type"] == "reply" and answer["data"]["channels"], answer
    ticket, hello = await opened(subprotocols=["carethread.v1", f"ticket.{TICKET}"])
    assert hello["auth"] == "ok" and ticket.subprotocol == "carethread.v1", hello
    for socket in (bearer, first, ticket):
        answer = await ask(socket, "resume", {})
        assert answer["data"]["reset"] == [], answer
    words = "Blåbär \U0001f489 \u0000 " + "x" * 5000
    posted = await ask(bearer, "message.post", {"channel": CHANNEL, "item": ITEM, "text": words})
    for socket in (first, ticket):
        event = json.loads(await socket.recv())
        assert event["data"]["text"] == words and event["seq"] == posted["data"]["seq"], event
    pong = await first.ping()
    await asyncio.wait_for(pong, 5)
    spent, hello = await opened(subprotocols=["carethread.v1", f"ticket.{TICKET}"])
    assert hello["auth"] == "required", "a ticket signs in one socket"
    await spent.close()
    for socket in (bearer, first, ticket):
        await socket.close()
        assert socket.close_code == 1000, socket.close_code
    print("spoken with")


asyncio.run(asyncio.wait_for(main(), 60))
