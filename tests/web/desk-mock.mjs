// A server that speaks the desk's protocol as a test tells it to: the built pages with the policy of the real one,
// the log-in, and one WebSocket whose requests the test sees and answers.

import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { WebSocketServer } from "ws";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

/** The policy as the real server has it, from its source. */
const policy = () => {
  const source = fs.readFileSync("src/api/pages.rs", "utf8");
  return /const POLICY: &str = "([^"]+)"/.exec(source)[1].replace(/\\\n\s*/g, "");
};

export const WELCOME = {
  agent: "Anna Berg",
  endpoint: "anna",
  queues: ["sales"],
  dispositions: ["Sold", "Call again"],
  break_reasons: ["Lunch", "Doctor"],
  resume: "resume-1",
  ice_servers: [],
  status: { state: "available", since_ms: 0 },
  missed: [],
};

export class Mock {
  /** Serves `pages` at /desk/ and `others` beside it. */
  static async open(pages, others) {
    const mock = new Mock(pages, others);
    await new Promise((resolve) => mock.server.listen(0, "127.0.0.1", resolve));
    mock.url = `http://127.0.0.1:${mock.server.address().port}`;
    return mock;
  }

  constructor(pages, others) {
    Object.assign(this, { pages, others });
    this.server = http.createServer((request, response) => this.#serve(request, response));
    this.sockets = new WebSocketServer({
      server: this.server,
      path: "/desk",
      handleProtocols: (offered) => offered.has("tandem.desk.v1") && "tandem.desk.v1",
    });
    this.sockets.on("connection", (socket) => this.#take(socket));
    this.reset();
  }

  /** As it was at the beginning. */
  reset() {
    this.socket?.close();
    this.socket = null;
    this.welcome = structuredClone(WELCOME);
    /** What was asked and not yet looked at. */
    this.asked = [];
    this.waiters = [];
    /** By type, what is answered instead of a bare `done`: an object, or `{ refuse }`. */
    this.answers = {};
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  /** The next request of a type. */
  next(type, limit = 5_000) {
    const found = this.asked.findIndex((it) => it.type === type);
    if (found >= 0) return Promise.resolve(this.asked.splice(found, 1)[0]);
    return new Promise((resolve, reject) => {
      const seen = this.asked.map((it) => it.type).join(", ");
      const timer = setTimeout(() => reject(new Error(`waited in vain for "${type}"; came: ${seen}`)), limit);
      this.waiters.push({ type, resolve: (it) => (clearTimeout(timer), resolve(it)) });
    });
  }

  /** As a network that goes away. */
  cut() {
    this.socket.terminate();
  }

  close() {
    this.sockets.close();
    this.server.close();
    this.server.closeAllConnections();
  }

  #take(socket) {
    this.socket = socket;
    socket.on("message", (bytes) => {
      const { id, ...request } = JSON.parse(bytes.toString());
      void this.#answer(socket, id, request);
    });
  }

  async #answer(socket, id, request) {
    const prepared = this.answers[request.type];
    const answer = (typeof prepared === "function" ? await prepared(request) : prepared) ?? {};
    const reply = answer.refuse
      ? { type: "refused", id, error: { id: answer.refuse, message: `no: ${request.type}` } }
      : { type: "done", id, ...answer };
    socket.send(JSON.stringify(reply));
    if (request.type === "login" && !answer.refuse) socket.send(JSON.stringify({ type: "welcome", ...this.welcome }));
    const waiter = this.waiters.findIndex((it) => it.type === request.type);
    if (waiter >= 0) this.waiters.splice(waiter, 1)[0].resolve(request);
    else this.asked.push(request);
  }

  #serve(request, response) {
    const { pathname } = new URL(request.url, this.url);
    if (request.method === "POST" && pathname === "/v1/login") return this.#logIn(request, response);
    const below = pathname.startsWith("/desk/");
    const name = below ? pathname.slice(6) || "index.html" : path.basename(pathname);
    const file = path.join(below ? this.pages : this.others, path.normalize(`/${name}`));
    if (!fs.existsSync(file) || !fs.statSync(file).isFile()) return response.writeHead(404).end();
    const guard = below ? { "content-security-policy": policy() } : {};
    response.writeHead(200, { "content-type": TYPES[path.extname(file)] ?? "text/plain", ...guard });
    return response.end(fs.readFileSync(file));
  }

  async #logIn(request, response) {
    let body = "";
    for await (const part of request) body += part;
    const { agent, password } = JSON.parse(body);
    const known = agent === "anna" && password === "secret-anna";
    response.writeHead(known ? 200 : 401, { "content-type": "application/json" });
    const refusal = { error: { id: "login-refused", message: "name or password is wrong" } };
    response.end(JSON.stringify(known ? { token: "token-anna", expires_at: "2030-01-01T00:00:00Z" } : refusal));
  }
}
