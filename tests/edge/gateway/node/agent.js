// A small agent in Node, on the `ws` package: echoes its mail, doubles numbers, and ends when it is told "enough".
const WebSocket = require("ws");

const [url, key, agent] = process.argv.slice(2);
const headers = { authorization: `Bearer ${key}` };
let entries = [];

function open() {
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws/agents/${agent}`, { headers });
  const say = (op, more) => socket.send(JSON.stringify({ op, ...more }));
  socket.on("message", (data) => {
    const frame = JSON.parse(data.toString());
    if (frame.op === "hello") {
      say("work", { slots: 2 });
      say("beat", { status: "ready", version: process.version });
      console.log("ready");
    } else if (frame.op === "message") {
      const { entryId, from, payload } = frame.message;
      say("ack", { entryIds: [entryId] });
      entries.push(payload);
      if (payload === "enough") {
        fetch(`${url}/agents/${from}/send`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/json", "idempotency-key": "the-end" },
          body: JSON.stringify({ payload: { heard: entries } }),
        }).then((answer) => {
          console.log(answer.status);
          socket.once("close", () => process.exit(0));
          setTimeout(() => socket.close(), 200);
        });
      }
    } else if (frame.op === "task") {
      say("done", { taskId: frame.task.id, result: 2 * frame.task.payload });
    }
  });
  socket.on("error", (error) => console.error(error.message));
}

open();
