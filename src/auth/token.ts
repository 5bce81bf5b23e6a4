import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, SignJWT } from "jose";
import type { Caller, Settings } from "../env.ts";

const issuer = "nexgen-finance";
const audience = "nexgen-finance-api";

/** An access token (RFC 9068: `typ` at+jwt), signed with the first key, valid for `accessTokenSeconds`. */
export function signAccessToken(settings: Settings, caller: Caller): Promise<string> {
  const [{ kid, key }] = settings.signingKeys;
  return new SignJWT({ sid: caller.sessionId, token_version: caller.tokenVersion })
    .setProtectedHeader({ alg: "HS256", typ: "at+jwt", kid })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(String(caller.userId))
    .setIssuedAt()
    .setExpirationTime(`${settings.accessTokenSeconds}s`)
    .sign(key);
}

/**
 * Tokens that were verified under these settings, until when: whoever has one sends it with every request of an hour, and
 * its signature stays what it is. Whether its session is over is asked in the database each time.
 */
const verified = new WeakMap<Settings, Map<string, { caller: Caller; untilSeconds: number }>>();
const mostVerified = 1000;

/** Who the token speaks for, or undefined for a token that is not ours, expired, or malformed (RFC 8725). */
export async function verifyAccessToken(settings: Settings, token: string): Promise<Caller | undefined> {
  const known = verified.get(settings) ?? new Map<string, { caller: Caller; untilSeconds: number }>();
  const seen = known.get(token);
  if (seen && Math.floor(Date.now() / 1000) < seen.untilSeconds) return seen.caller;
  try {
    const { kid } = decodeProtectedHeader(token);
    const signingKey = settings.signingKeys.find((each) => each.kid === kid);
    if (!signingKey) return undefined;
    const { payload } = await jwtVerify(token, signingKey.key, {
      algorithms: ["HS256"],
      issuer,
      audience,
      typ: "at+jwt",
      requiredClaims: ["sub", "iat", "exp", "sid", "token_version"],
      // A token that claims to live longer than we ever sign is not ours.
      maxTokenAge: `${settings.accessTokenSeconds}s`,
    });
    const caller = callerOf(payload);
    if (caller) {
      if (known.size >= mostVerified) known.clear();
      const { iat = 0, exp = 0 } = payload;
      known.set(token, { caller, untilSeconds: Math.min(exp, iat + settings.accessTokenSeconds) });
      verified.set(settings, known);
    }
    return caller;
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
    throw error;
  }
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

function callerOf({ sub, sid, token_version: tokenVersion }: JWTPayload): Caller | undefined {
  if (typeof sub !== "string" || !/^[1-9]\d{0,9}$/.test(sub) || Number(sub) > 0x7fffffff) return undefined;
  if (typeof sid !== "string" || !uuid.test(sid)) return undefined;
  if (typeof tokenVersion !== "number" || !Number.isInteger(tokenVersion) || Math.abs(tokenVersion) > 0x7fffffff)
    return undefined;
  return { userId: Number(sub), sessionId: sid, tokenVersion };
}
