import type { ChildProcess } from "node:child_process";
import { rm } from "node:fs/promises";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../tools/postgres.ts";
import { dataDirectory, endAll, runTool } from "../support/node/dev.ts";

// What no client library sends, byte by byte, to the dev stack. In production Cloudflare's edge reads it first.
let directory = "";
let port = 0;
let token = "";
const started: ChildProcess[] = [];

beforeAll(async () => {
  directory = await dataDirectory();
  port = await freePort();
  const { child, ready } = runTool("dev.ts", { NEXGEN_DATA_DIR: directory, PORT: String(port) });
  started.push(child);
  const [, password] = /admin \/ (\S+)/.exec(await ready()) ?? [];
  const response = await fetch(`http://127.0.0.1:${port}/auth/login`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username: "admin", password }),
  });
  token = ((await response.json()) as { access_token: string }).access_token;
}, 60_000);

afterAll(async () => {
  await endAll(started);
  await rm(directory, { recursive: true, force: true });
});

/** Sends the bytes on one connection and answers what came back, until it is closed or silent. */
function exchange(bytes: string): Promise<string> {
  return new Promise((fulfil) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    let silence: NodeJS.Timeout | undefined;
    const done = () => {
      clearTimeout(silence);
      socket.destroy();
      fulfil(text);
    };
    // Once something came, more would come soon.
    const wait = (milliseconds: number) => {
      clearTimeout(silence);
      silence = setTimeout(done, milliseconds);
    };
    wait(10_000);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      wait(1000);
    });
    socket.on("error", () => {});
    socket.on("close", done);
    socket.write(bytes, "latin1");
  });
}

const statuses = async (bytes: string) =>
  [...(await exchange(bytes)).matchAll(/HTTP\/1\.\d ([2-5]\d\d) /g)].map((match) => Number(match[1]));

const authorized = () =>
  `Host: localhost:${port}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
/** A request that would create a client, hidden in the body of another. */
const hidden = (name: string) => {
  const body = JSON.stringify({ name });
  return `POST /client HTTP/1.1\r\n${authorized()}Content-Length: ${body.length}\r\n\r\n${body}`;
};
const post = (framing: string[], body: string) =>
  `POST /vendor HTTP/1.1\r\n${authorized()}${framing.join("\r\n")}\r\n\r\n${body}`;

const created = async () => {
  const response = await fetch(`http://127.0.0.1:${port}/client?limit=200`, {
    headers: { Authorization: `Bearer ${token}` },
  });
  const { data } = (await response.json()) as { data: { name: string }[] };
  return data.map(({ name }) => name);
};

describe("a request", () => {
  it.each<[string, string[], string]>([
    ["two lengths", ["Content-Length: 2", "Content-Length: 400"], "{}"],
    ["a list of lengths", ["Content-Length: 2, 400"], "{}"],
    ["a length and chunks", ["Content-Length: 500", "Transfer-Encoding: chunked"], "0\r\n\r\n"],
    ["chunks and a length", ["Transfer-Encoding: chunked", "Content-Length: 3"], "0\r\n\r\n"],
    ["chunks with a blank before the colon", ["Transfer-Encoding : chunked", "Content-Length: 2"], "{}"],
    ["a length with a blank before the colon", ["Content-Length : 2"], "{}"],
    ["an unknown coding", ["Transfer-Encoding: xchunked", "Content-Length: 2"], "{}"],
    ["two codings", ["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], "0\r\n\r\n"],
    ["a list of codings", ["Transfer-Encoding: chunked, identity"], "0\r\n\r\n"],
    ["a folded coding", ["Transfer-Encoding:", " chunked", "Content-Length: 2"], "{}"],
    ["a length with a sign", ["Content-Length: +2"], "{}"],
    ["a negative length", ["Content-Length: -1"], "{}"],
    ["a hexadecimal length", ["Content-Length: 0x2"], "{}"],
    ["an empty length", ["Content-Length: "], "{}"],
    ["a chunk of 0x2", ["Transfer-Encoding: chunked"], "0x2\r\n{}\r\n0\r\n\r\n"],
    ["a chunk of -2", ["Transfer-Encoding: chunked"], "-2\r\n{}\r\n0\r\n\r\n"],
    ["a chunk of 2^72", ["Transfer-Encoding: chunked"], "FFFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"],
    ["a carriage return in a header", ["X-A: a\rContent-Length: 2", "Content-Length: 2"], "{}"],
    ["a NUL in a header", ["X-A: a\0b", "Content-Length: 2"], "{}"],
    ["a line that is no header", ["nothing", "Content-Length: 2"], "{}"],
  ])("with %s is refused, and what is hidden behind it never runs", async (_case, framing, body) => {
    const name = crypto.randomUUID();
    const [status = 0, ...more] = await statuses(post(framing, `${body}${hidden(name)}`));
    expect([status >= 400, more]).toEqual([true, []]);
    expect(await created()).not.toContain(name);
  });

  it("that is two requests one after the other is answered twice: the tests above can tell", async () => {
    const name = crypto.randomUUID();
    expect(await statuses(`${post(["Content-Length: 2"], "{}")}${hidden(name)}`)).toEqual([422, 201]);
    expect(await created()).toContain(name);
  });

  it.each<[string, number]>([
    ["GET /health/../user HTTP/1.1", 401],
    ["GET /health/%2e%2e/user HTTP/1.1", 401],
    ["GET /health/.%2E/user HTTP/1.1", 401],
    ["GET http://evil.example/user HTTP/1.1", 401],
    ["GET //evil.example/user HTTP/1.1", 404],
    ["GET /health/..%2fuser HTTP/1.1", 404],
    ["GET /user?/../health HTTP/1.1", 401],
    ["GET /user#/../health HTTP/1.1", 401],
    ["GET /%75ser HTTP/1.1", 401],
  ])("for %s leads to no other answer than its path's", async (line, status) => {
    expect(await statuses(`${line}\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`)).toEqual([status]);
  });

  it.each([
    "GET \\user HTTP/1.1",
    "GET ?/user HTTP/1.1",
    "GET /user",
    "get /user HTTP/1.1",
    "GET /user HTTP/9.9",
    "GET /u\0ser HTTP/1.1",
  ])("that begins with %j is not one", async (line) => {
    const answered = await statuses(`${line}\r\nHost: localhost:${port}\r\nConnection: close\r\n\r\n`);
    expect(answered.filter((status) => status < 400)).toEqual([]);
  });

  it("keeps its token whatever Connection says, and is nobody's else by a folded header", async () => {
    const hopByHop = `GET /client HTTP/1.1\r\n${authorized()}Connection: close, Authorization\r\n\r\n`;
    expect(await statuses(hopByHop)).toEqual([200]);
    const folded = `GET /client HTTP/1.1\r\nHost: localhost:${port}\r\nX-A: a\r\n Authorization: Bearer ${token}\r\n\r\n`;
    expect((await statuses(folded)).filter((status) => status < 400)).toEqual([]);
  });

  it("for another host is answered with a Location that is a path", async () => {
    const body = JSON.stringify({ name: crypto.randomUUID() });
    const answer = await exchange(
      `POST /client HTTP/1.1\r\n${authorized().replace(/^Host: .*/, "Host: evil.example")}X-Forwarded-Host: evil.example\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 201 /);
    expect(answer).toMatch(/^Location: \/client\/\d+\r$/im);
    expect(answer).not.toContain("evil");
  });
});
