// What every JavaScript client does here, in Node and in a browser: nothing but the standard WebSocket members `send` and `close`.

/** Signs in, follows, posts, hears itself and another client, comes back after a disconnect, and meets an error. */
export async function play({ name, open, channel, item, key, sleep }) {
  const waiting = new Map(); // id of a command -> what takes its answer
  const heard = []; // events of the channel, in order
  let wake = () => {};
  let seen = 0; // the highest seq: the cursor
  let last = 0;

  function take(frame) {
    if (frame.type === "hello" && frame.auth !== "ok") throw new Error("not signed in");
    if (frame.type === "reply" || frame.type === "error") {
      waiting.get(frame.id)(frame);
      waiting.delete(frame.id);
    }
    if (frame.type === "event" && frame.channel === channel && frame.seq > seen) {
      if (seen && frame.seq !== seen + 1) throw new Error(`a gap before ${frame.seq}`);
      seen = frame.seq;
      heard.push(frame);
    }
    wake();
  }

  function ask(socket, op, data) {
    const id = ++last;
    const answer = new Promise((answered) => waiting.set(id, answered));
    socket.send(JSON.stringify({ id, op, data }));
    return answer;
  }

  async function until(text) {
    while (!heard.some((event) => event.event === "message.posted" && event.data.text === text)) {
      await new Promise((woken) => (wake = woken));
    }
  }

  let socket = await open(take);
  const listed = await ask(socket, "channel.list", {});
  seen = listed.data.channels.find((one) => one.id === channel).last_seq;
  await ask(socket, "resume", { cursors: { [channel]: seen } });
  const post = { channel, item, text: `${name} was here`, key };
  const posted = await ask(socket, "message.post", post);
  if (posted.type !== "reply") throw new Error(JSON.stringify(posted));
  await until(post.text);
  await until(`seen, ${name}`); // by another client
  const again = await ask(socket, "message.post", post);
  if (again.data.repeat !== true || again.data.seq !== posted.data.seq) throw new Error(JSON.stringify(again));

  await ask(socket, "message.post", { channel, item, text: `${name} is away` });
  socket.close();
  await sleep(300);
  socket = await open(take);
  const resumed = await ask(socket, "resume", { cursors: { [channel]: seen } });
  if (resumed.data.reset.length !== 0) throw new Error(JSON.stringify(resumed));
  await until(`${name} missed this 3`);
  for (const n of [1, 2, 3]) await until(`${name} missed this ${n}`);

  const refused = await ask(socket, "message.post", { channel, text: "no item" });
  const { code, field, retry } = refused.error;
  if (code !== "plan_item_required" || field !== "item" || retry !== false) throw new Error(JSON.stringify(refused));
  socket.close();
}
