import { z } from "@hono/zod-openapi";
import { Instant, Text, text, Version } from "../wire.ts";

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
    password: text(1024, "correct horse battery staple", 1),
  })
  .openapi("Credentials");

export const Tokens = z
  .strictObject({
    access_token: z.string().max(2000).openapi({ example: "eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2ln" }),
    token_type: z.literal("bearer").openapi({ example: "bearer" }),
    expires_in: z.int().positive().openapi({ example: 3600, description: "Seconds" }),
    refresh_token: z.string().max(100).openapi({
      example: "pZ4bqkYV0mS1oJcV2n3y6w8x9A0bCdEfGhIjKlMnOpQ",
      description: "Opaque, for a new access token",
    }),
    user: User,
  })
  .openapi("Tokens");
export type Tokens = z.infer<typeof Tokens>;
