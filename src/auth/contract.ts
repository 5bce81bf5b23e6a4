import { z } from "@hono/zod-openapi";
import { Page } from "../page.ts";
import { Instant, Text, text, Version } from "../wire.ts";

const password = (example: string) => text(1024, example, 1);

export const User = z
  .strictObject({
    id: z.int().positive().openapi({ example: 1 }),
    username: Text(255, "asha"),
    email: Text(255, "asha@example.com"),
    role: z.enum(["viewer", "editor", "admin"]).openapi({ example: "editor" }),
    disabled: z.boolean().openapi({ example: false }),
    created_at: Instant,
    updated_at: Instant,
    password_changed_at: Instant.nullable(),
    version: Version,
  })
  .openapi("User");
export type User = z.infer<typeof User>;

export const Credentials = z
  .strictObject({
    username: text(255, "asha", 1),
    // Lengths are a rule for setting a password; any that once was set must still open.
    password: password("correct horse battery staple"),
  })
  .openapi("Credentials");

const refreshToken = "pZ4bqkYV0mS1oJcV2n3y6w8x9A0bCdEfGhIjKlMnOpQRsTuVwXyZ0123456789abcdefghijklmnopqrstu-_w";

export const Tokens = z
  .strictObject({
    access_token: z.string().max(2000).openapi({ example: "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln" }),
    token_type: z.literal("bearer").openapi({ example: "bearer" }),
    expires_in: z.int().positive().openapi({ example: 3600, description: "Seconds" }),
    refresh_token: z.string().max(100).openapi({
      example: refreshToken,
      description: "Opaque, for one `POST /auth/refresh`, whose answer has the next one",
    }),
    user: User,
  })
  .openapi("Tokens");
export type Tokens = z.infer<typeof Tokens>;

export const RefreshRequest = z.strictObject({ refresh_token: text(100, refreshToken, 1) }).openapi("RefreshRequest");

/** A password that somebody sets; `passwordFault` says what is wrong with it. */
export const newPassword = (example = "seven brown boats at noon") =>
  password(example).openapi({
    description: "12 characters to 72 bytes in UTF-8; not a common one, nor the username or e-mail address",
  });

export const PasswordChange = z
  .strictObject({ current_password: password("correct horse battery staple"), new_password: newPassword() })
  .openapi("PasswordChange");

export const Session = z
  .strictObject({
    id: z.uuid().max(36).openapi({ example: "5e0f3a9c-63f4-4d0e-a8c9-0d6f7a1f2b3c" }),
    created_at: Instant.openapi({ description: "When it logged in" }),
    last_used_at: Instant.openapi({ description: "When its refresh token was used last, or it logged in" }),
    expires_at: Instant.openapi({ description: "When it ends, however much it is used" }),
    address: Text(45, "203.0.113.7").nullable().openapi({ description: "Where it logged in" }),
    user_agent: Text(200, "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0").nullable(),
    current: z.boolean().openapi({ example: true, description: "Whether this request belongs to it" }),
  })
  .openapi("Session");
export type Session = z.infer<typeof Session>;

export const SessionPage = Page(Session).openapi("SessionPage");
