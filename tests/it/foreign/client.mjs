// A client with Node's library `ws`. Usage: node client.mjs PORT CERTIFICATE TOKEN CHANNEL ITEM
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import WebSocket from "ws";
import { play } from "./play.mjs";

const [port, certificate, token, channel, item] = process.argv.slice(2);

/** Opens a socket, signed in by the header; `heard` gets every frame. */
async function open(heard) {
  const socket = new WebSocket(`wss://localhost:${port}/v1/ws`, ["carethread.v1"], {
    ca: readFileSync(certificate),
    headers: { Authorization: `Bearer ${token}` },
  });
  socket.on("message", (text) => heard(JSON.parse(text)));
  await new Promise((opened, failed) => socket.once("open", opened).once("error", failed));
  assert.equal(socket.protocol, "carethread.v1");
  return socket;
}

await play({ name: "node", open, channel, item, key: randomUUID(), sleep });
console.log("spoken with");
