import bcrypt from "bcryptjs";
import type { Plan, Step, Template } from "./operations.ts";

/** One row; every value is text or null. */
export type Row = Record<string, string | null>;

/** Sends a step's statements in one transaction and answers the rows of each. */
export type Send = (step: Step, params: (template: Template) => unknown[]) => Promise<Row[][]>;

/**
 * The least that a server does for an operation: the Worker's own statements, and their rows as they come. No token is
 * verified, no input looked at, no header set. What costs time by design it does as well: the bcrypt of a log-in.
 */
export async function answer(plan: Plan, send: Send, path: string, body: string): Promise<string> {
  const [, operation = "", id = ""] = path.split("/");
  const run = (name: string, given: Record<string, string | number | null> = {}) => {
    const step = plan[name];
    if (!step) throw new Error(`no operation ${name}`);
    return send(step, ({ params }) =>
      params.map((param) => (typeof param === "object" && param ? (given[param.given] ?? null) : param)),
    );
  };
  const request = crypto.randomUUID();
  switch (operation) {
    case "po":
    case "list":
    case "by-store":
    case "add-line":
    case "create-po":
      return rowsOf((await run(operation, { id, body, list: `[${body}]`, request })).at(-1));
    case "by-store,all":
      return bundled((await run("by-store, all")).at(-1) ?? []);
    case "log-in": {
      const { username, password } = JSON.parse(body) as { username: string; password: string };
      const [, accounts] = await run("log-in", { username });
      const account = accounts?.[0];
      if (!account || !(await bcrypt.compare(password, account.password_hash ?? ""))) throw new Error("wrong password");
      const session = crypto.randomUUID();
      const token = newToken(session.replaceAll("-", ""));
      const hash = await sha256(token);
      const compared = account.password_hash ?? null;
      const results = await run("log-in, session", { session, user: account.id ?? null, hash, compared, request });
      return `{"refresh_token":"${token}","user":${rowsOf(results.at(-1))}}`;
    }
    case "refresh": {
      const { refresh_token: token } = JSON.parse(body) as { refresh_token: string };
      const hex = hexOf(fromBase64url(token).subarray(0, 16));
      const session = hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
      const next = newToken(hex);
      const [rows] = await run("refresh", { session, hash: await sha256(token), successor: await sha256(next) });
      if (!rows?.[0]) throw new Error("the refresh token is not valid");
      return `{"refresh_token":"${next}","user":${rowsOf(rows)}}`;
    }
  }
  throw new Error(`no operation ${operation}`);
}

const rowsOf = (rows: Row[] = []) => `[${rows.map((row) => row.json).join(",")}]`;

/** A page as a server makes it that reads every PO and bundles them itself. */
function bundled(rows: Row[]): string {
  const bundles = new Map<string, { newest: Row; ids: string[]; value: number }>();
  for (const row of rows) {
    const key = row.bundle_by_store === "t" && row.store_id ? `${row.client_id}:${row.store_id}` : `po:${row.id}`;
    const bundle = bundles.get(key) ?? { newest: row, ids: [], value: 0 };
    bundle.ids.push(row.id ?? "");
    bundle.value += Number(row.po_value ?? 0);
    bundles.set(key, bundle);
  }
  return JSON.stringify([...bundles.values()].slice(0, 50));
}

const encoder = new TextEncoder();
const hexOf = (bytes: Uint8Array) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const sha256 = async (text: string) =>
  hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text))));

function newToken(sessionHex: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(64));
  for (let i = 0; i < 16; i++) bytes[i] = Number.parseInt(sessionHex.slice(2 * i, 2 * i + 2), 16);
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}

const fromBase64url = (text: string) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
