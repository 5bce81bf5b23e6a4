export const statuses = ["pending", "active", "completed", "cancelled"] as const;
export type Status = (typeof statuses)[number];

/**
 * What a PO may become. It is closed when it is completed or cancelled: then its lines and amounts are locked (by the
 * database, for every writer), and only what was closed by mistake or is taken up again goes back.
 */
export const transitions: Readonly<Record<Status, readonly Status[]>> = {
  pending: ["active", "cancelled"],
  active: ["pending", "completed", "cancelled"],
  completed: ["active"],
  cancelled: ["pending"],
};

/** The statuses from which a PO may become `status`. */
export const sourcesOf = (status: Status): Status[] => statuses.filter((each) => transitions[each].includes(status));
