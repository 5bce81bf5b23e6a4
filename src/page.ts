import { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { base64url } from "jose";
import type { AppEnv } from "./env.ts";
import { Problem } from "./problem.ts";
import { type Json, text } from "./wire.ts";

/** A cursor holds the key of a row, such as a name of 255 characters. */
const mostCursor = 2000;

/** The query of every list. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,3}$/, "must be an integer from 1 to 200")
    .transform(Number)
    .refine((limit) => limit >= 1 && limit <= 200, "must be an integer from 1 to 200")
    .default(50)
    .openapi({ type: "integer", minimum: 1, maximum: 200, default: 50, example: 50, description: "Entries per page" }),
  cursor: text(mostCursor, "WyIxMzgiXQ.c2lnbmF0dXJl", 1)
    .optional()
    .openapi({ description: "`next_cursor` of the page before, with the same filters and order" }),
};

/** The orders of a list, its own first; a leading `-` is descending. */
export const sortQuery = <const Sorts extends readonly [string, ...string[]]>(sorts: Sorts) =>
  z.enum(sorts).default(sorts[0]).openapi({ example: sorts[0], description: "`-` is descending; by id where equal" });

/** `{"data": […], "next_cursor"}`: the body of every list. */
export const Page = <Item extends z.ZodType>(item: Item) =>
  z.strictObject({
    data: z.array(item).max(200),
    next_cursor: z
      .string()
      .max(mostCursor)
      .nullable()
      .openapi({ example: null, description: "Hand it back as `cursor` for the next page; null on the last one" }),
  });

/** A walk through one list: where this page starts, and how the page is answered. */
export interface Walk {
  /** Where the page before ended; undefined on the first page. */
  position: string[] | undefined;
  /** The answer of `rows`, which are up to `limit` + 1 of them; `positionOf` says where a row stands. */
  page<Item, Row extends { json: Json<Item> }>(
    rows: Row[],
    limit: number,
    positionOf: (last: Row) => string[],
  ): Promise<Json<{ data: Item[]; next_cursor: string | null }>>;
  seal(position: string[]): Promise<string>;
}

/**
 * Opens the walk that `cursor` continues. `scope` names the list and all of its filters: the position is readable but
 * signed together with it (HMAC-SHA-256), so that a cursor that was changed, or is used with other filters, is refused.
 */
export async function openWalk(c: Context<AppEnv>, scope: string, cursor: string | undefined): Promise<Walk> {
  const keys = c.var.settings.signingKeys.map((each) => each.key);
  const sign = async (key: CryptoKey, payload: string) => {
    const message = new TextEncoder().encode(`cursor\n${scope}\n${payload}`);
    return base64url.encode(new Uint8Array(await crypto.subtle.sign("HMAC", key, message)).subarray(0, 16));
  };
  const seal = async (position: string[]) => {
    const payload = base64url.encode(new TextEncoder().encode(JSON.stringify(position)));
    return `${payload}.${await sign(c.var.settings.signingKeys[0].key, payload)}`;
  };
  let position: string[] | undefined;
  if (cursor !== undefined) {
    const [payload = "", signature, ...rest] = cursor.split(".");
    const signatures = await Promise.all(keys.map((key) => sign(key, payload)));
    if (signature === undefined || rest.length > 0 || !signatures.includes(signature)) {
      throw new Problem(
        "invalid-cursor",
        "Take `next_cursor` as it is, and keep the filters of the page it came from.",
      );
    }
    position = JSON.parse(new TextDecoder().decode(base64url.decode(payload))) as string[];
  }
  return {
    position,
    seal,
    async page(rows, limit, positionOf) {
      const items = rows.slice(0, limit);
      const last = rows.length > limit ? items.at(-1) : undefined;
      const next = last && (await seal(positionOf(last)));
      return `{"data":[${items.map((row) => row.json).join(",")}],"next_cursor":${JSON.stringify(next ?? null)}}` as never;
    },
  };
}
