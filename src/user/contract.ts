import { z } from "@hono/zod-openapi";
import { newPassword, User } from "../auth/contract.ts";
import { usernameFault } from "../auth/username.ts";
import { Page } from "../page.ts";
import { Instant, text } from "../wire.ts";

export const Account = z
  .strictObject({
    ...User.shape,
    failed_logins: z
      .int()
      .nonnegative()
      .openapi({ example: 0, description: "Failed log-ins that count: 24 hours without one forgive them all" }),
    blocked_until: Instant.nullable().openapi({
      example: null,
      description: "Until when log-ins from some address, or from every unknown one, are refused",
    }),
  })
  .openapi("Account");
export type Account = z.infer<typeof Account>;

export const accountSorts = ["id", "-id", "username", "-username"] as const;
export type AccountSort = (typeof accountSorts)[number];

export const AccountPage = Page(Account).openapi("AccountPage");

const role = z.enum(["viewer", "editor", "admin"]).openapi({ example: "editor" });

export const NewAccount = z
  .strictObject({
    username: text(255, "asha", 1).superRefine((username, context) => {
      const fault = usernameFault(username);
      if (fault) context.addIssue({ code: "custom", message: fault });
    }),
    email: z.email("must be an e-mail address").max(255).openapi({ example: "asha@example.com" }),
    password: newPassword(),
    role,
  })
  .openapi("NewAccount");
export type NewAccount = z.infer<typeof NewAccount>;

export const AccountChanges = z
  .strictObject({ role, disabled: z.boolean().openapi({ example: true }), password: newPassword() })
  .partial()
  .openapi("AccountChanges");
export type AccountChanges = z.infer<typeof AccountChanges>;
