import type { Context, MiddlewareHandler } from "hono";
import type { AppEnv, Caller } from "./env.ts";
import { Problem } from "./problem.ts";

/**
 * Requests per minute and Cloudflare location; wrangler.toml has the same figures, ten times as high in development. It
 * sheds load, approximately. What stops somebody from guessing passwords is counted in the database.
 */
export const limits = {
  address: { perMinute: 1200, binding: (env: Env) => env.ADDRESS_LIMIT },
  user: { perMinute: 600, binding: (env: Env) => env.USER_LIMIT },
  "sign-in": { perMinute: 20, binding: (env: Env) => env.SIGN_IN_LIMIT },
} as const;

/** The caller's address as Cloudflare saw it; no other header can be trusted. Only a local stack has none. */
export const clientAddress = (c: Context<AppEnv>): string | undefined => c.req.header("CF-Connecting-IP");

/** What is counted as one caller: an address, or an IPv6 /64, all of which one household or one attacker has. */
export function sourceOf(address: string): string {
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  const groups = [...head, ...Array.from({ length: zeros }, () => "0"), ...(tail ?? [])];
  return groups
    .slice(0, 4)
    .map((group) => group.toLowerCase().replace(/^0+(?=.)/, ""))
    .join(":");
}

/**
 * What is counted as one user: a session, for as long as its tokens are of one version. Whether a session is over the
 * database alone knows, later: whoever has a token of an ended one must not use up what its owner may send.
 */
export const userOf = ({ sessionId, tokenVersion }: Caller) => `${sessionId} ${tokenVersion}`;

/**
 * What is counted as one address. What a page of another site sends from there is counted apart: nobody who opens that page
 * has meant it. Whoever is no browser and says so has two counts, which is all that it gains.
 */
export function addressOf(c: Context<AppEnv>): string {
  const source = sourceOf(clientAddress(c) ?? "local");
  const origin = c.req.header("Origin");
  const isElsewhere =
    c.req.header("Sec-Fetch-Site") === "cross-site" || (origin !== undefined && origin !== new URL(c.req.url).origin);
  const isForeign = isElsewhere && !c.get("settings").corsOrigins.includes(origin ?? "");
  return isForeign ? `cross-site ${source}` : source;
}

/** Lets a request through as long as its user, or its address, has not used up the minute; else 429. */
export const rateLimit = (name: keyof typeof limits): MiddlewareHandler<AppEnv> =>
  async function rateLimit(c, next) {
    const { perMinute, binding } = limits[name];
    const key = name === "user" ? userOf(c.get("caller")) : addressOf(c);
    const { success } = await binding(c.env).limit({ key });
    if (!success) {
      const quota = c.env.ENVIRONMENT === "development" ? perMinute * 10 : perMinute;
      throw new Problem("too-many-requests", `Up to ${quota} requests a minute are served: wait, then go on.`, {
        headers: { "Retry-After": "60", "RateLimit-Policy": `"${name}";q=${quota};w=60` },
      });
    }
    await next();
  };
