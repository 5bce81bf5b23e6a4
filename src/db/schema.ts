/**
 * Every table of schema "Finances", every constraint named. Triggers, functions and grants stand beside this file in
 * drizzle/*.sql and tools/roles.sql: drizzle-kit does not know them, `npm run check` compares them with a live database.
 */
import { type SQL, sql } from "drizzle-orm";
import {
  type AnyPgColumn,
  bigint,
  boolean,
  check,
  customType,
  date,
  foreignKey,
  index,
  integer,
  jsonb,
  numeric,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
  varchar,
} from "drizzle-orm/pg-core";

export const finances = pgSchema("Finances");

const bytea = customType<{ data: Uint8Array }>({ dataType: () => "bytea" });

const bigId = () => bigint({ mode: "number" });
const id = () => bigId().primaryKey().generatedByDefaultAsIdentity();
/** INR, two decimals. */
const money = () => numeric({ precision: 15, scale: 2 });
const unitPrice = () => numeric({ precision: 15, scale: 4 });
const quantity = () => numeric({ precision: 15, scale: 3 });
const instant = () => timestamp({ withTimezone: true, precision: 6, mode: "string" });
const createdAt = () => instant().notNull().defaultNow();
const day = () => date({ mode: "string" });
/** What an imported row said before it was repaired, field by field; null for rows that were not. */
const legacy = () => jsonb();
/** Counts the changes of a row: its ETag. Kept by the trigger `<table>_touch`. */
const version = () => integer().notNull().default(1);

/** Before drizzle cases the columns their `name` is still the property's. */
const columnName = (column: AnyPgColumn) => column.name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** `numeric` accepts NaN and calls it greater than zero: every numeric column is kept free of it by a named check. */
const finite = (table: string, ...columns: AnyPgColumn[]) =>
  columns.map((column) => check(`${table}_${columnName(column)}_finite`, sql`${column} <> 'NaN'`));
/** Zero or more, NaN excluded. */
const notNegative = (table: string, ...columns: AnyPgColumn[]) =>
  columns.map((column) =>
    check(`${table}_${columnName(column)}_not_negative`, sql`${column} >= 0 AND ${column} < 'NaN'`),
  );
/** Cast to text: IN on a varchar is printed by PostgreSQL in a form that it reads back as another, so that a restore would differ. */
const oneOf = (table: string, column: AnyPgColumn, values: readonly string[]) =>
  check(
    `${table}_${columnName(column)}_known`,
    sql`${column}::text IN (${sql.raw(values.map((value) => `'${value}'`).join(", "))})`,
  );
const filled = (table: string, column: AnyPgColumn) =>
  check(`${table}_${columnName(column)}_filled`, sql`length(btrim(${column})) > 0`);
/** 15 characters: state code, PAN, entity, Z or another letter, check character (format only). */
const gstin = (table: string, column: AnyPgColumn) =>
  check(`${table}_${columnName(column)}_format`, sql`${column} ~ '^[0-9]{2}[A-Z]{5}[0-9]{4}[A-Z][0-9A-Z]{3}$'`);
const references = (
  name: string,
  column: AnyPgColumn,
  parent: AnyPgColumn,
  onDelete: "cascade" | "restrict" | "no action" = "no action",
) => foreignKey({ name, columns: [column], foreignColumns: [parent] }).onDelete(onDelete);

export const client = finances.table(
  "client",
  {
    id: id(),
    name: varchar().notNull(),
    createdAt: createdAt(),
    bundleByStore: boolean().notNull().default(false),
    version: version(),
    updatedAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    filled("client", t.name),
    uniqueIndex("client_name_unique").on(sql`lower(${t.name})`),
    index("client_name_search").using("gin", sql`${t.name} "Finances".gin_trgm_ops`),
  ],
);

export const vendor = finances.table(
  "vendor",
  {
    id: id(),
    name: varchar().notNull(),
    address: text(),
    gstin: varchar(),
    createdAt: createdAt(),
    contactPerson: varchar(),
    email: varchar(),
    phone: varchar(),
    paymentTerms: varchar(),
    status: varchar().notNull().default("active"),
    updatedAt: createdAt(),
    version: version(),
    legacy: legacy(),
  },
  (t) => [
    filled("vendor", t.name),
    gstin("vendor", t.gstin),
    oneOf("vendor", t.status, ["active", "inactive"]),
    index("vendor_gstin_index").on(t.gstin),
    index("vendor_name_order").on(sql`lower(${t.name})`, t.id),
    index("vendor_name_search").using("gin", sql`${t.name} "Finances".gin_trgm_ops`),
  ],
);

export const site = finances.table(
  "site",
  {
    id: id(),
    storeId: varchar(),
    siteName: varchar().notNull(),
    address: text(),
    city: varchar(),
    state: varchar(),
    postalCode: varchar(),
    createdAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [unique("site_store_id_unique").on(t.storeId)],
);

export const project = finances.table(
  "project",
  {
    id: id(),
    clientId: bigId(),
    name: varchar().notNull(),
    status: varchar(),
    createdAt: createdAt(),
    location: varchar({ length: 255 }),
    city: varchar({ length: 100 }),
    state: varchar({ length: 100 }),
    country: varchar({ length: 100 }),
    latitude: numeric({ precision: 10, scale: 7 }),
    longitude: numeric({ precision: 10, scale: 7 }),
    legacy: legacy(),
  },
  (t) => [
    references("project_client_fkey", t.clientId, client.id),
    ...finite("project", t.latitude, t.longitude),
    index("project_client_index").on(t.clientId),
    index("project_city_state_index").on(t.city, t.state),
  ],
);

export const clientPo = finances.table(
  "client_po",
  {
    id: id(),
    clientId: bigId().notNull(),
    projectId: bigId(),
    poNumber: varchar(),
    poDate: day(),
    poValue: money(),
    receivableAmount: money(),
    status: varchar().notNull().default("pending"),
    createdAt: createdAt(),
    poType: varchar().notNull().default("standard"),
    parentPoId: bigId(),
    agreementDate: day(),
    notes: text(),
    piNumber: varchar(),
    piDate: day(),
    vendorId: bigId(),
    siteId: bigId(),
    vendorGstin: varchar(),
    billToGstin: varchar(),
    vendorAddress: text(),
    billToAddress: text(),
    shipToAddress: text(),
    subtotal: money(),
    cgst: money(),
    sgst: money(),
    igst: money(),
    totalTax: money(),
    storeId: varchar({ length: 100 }),
    /** Kept by the lines' trigger, so that lists and bundles need not count. */
    lineItemCount: integer().notNull().default(0),
    version: version(),
    updatedAt: createdAt(),
    /** What was said when the status was set last. */
    statusReason: text(),
    legacy: legacy(),
  },
  (t) => [
    references("client_po_client_fkey", t.clientId, client.id),
    references("client_po_project_fkey", t.projectId, project.id),
    references("client_po_parent_po_fkey", t.parentPoId, t.id),
    references("client_po_vendor_fkey", t.vendorId, vendor.id),
    references("client_po_site_fkey", t.siteId, site.id),
    unique("client_po_number_unique").on(t.clientId, t.poNumber),
    ...finite("client_po", t.poValue, t.receivableAmount),
    ...notNegative("client_po", t.subtotal, t.totalTax, t.cgst, t.sgst, t.igst),
    oneOf("client_po", t.status, ["pending", "active", "completed", "cancelled"]),
    oneOf("client_po", t.poType, ["standard", "verbal_agreement"]),
    check("client_po_not_its_own_parent", sql`${t.parentPoId} <> ${t.id}`),
    check("client_po_line_item_limit", sql`${t.lineItemCount} BETWEEN 0 AND 2000`),
    index("client_po_newest").on(t.createdAt, t.id),
    index("client_po_client_newest").on(t.clientId, t.createdAt, t.id),
    index("client_po_store_newest").on(t.clientId, t.storeId, t.createdAt, t.id),
    index("client_po_project_newest").on(t.projectId, t.createdAt, t.id),
    index("client_po_parent_po_index").on(t.parentPoId),
    index("client_po_vendor_newest").on(t.vendorId, t.createdAt, t.id),
    index("client_po_site_index").on(t.siteId),
    // The filters and sorts of the list, of every client's POs and of one's.
    index("client_po_any_store_newest").on(t.storeId, t.createdAt, t.id),
    index("client_po_status_newest").on(t.status, t.createdAt, t.id),
    index("client_po_type_newest").on(t.poType, t.createdAt, t.id),
    index("client_po_number_prefix").on(sql`${t.poNumber} text_pattern_ops`),
    index("client_po_date").on(sql`coalesce(${t.poDate}, '-infinity'::date)`, t.id),
    index("client_po_client_date").on(t.clientId, sql`coalesce(${t.poDate}, '-infinity'::date)`, t.id),
    index("client_po_value").on(sql`coalesce(${t.poValue}, '-Infinity'::numeric)`, t.id),
    index("client_po_client_value").on(t.clientId, sql`coalesce(${t.poValue}, '-Infinity'::numeric)`, t.id),
    index("client_po_updated").on(t.updatedAt, t.id),
    index("client_po_client_updated").on(t.clientId, t.updatedAt, t.id),
    index("client_po_search").using(
      "gin",
      sql`(coalesce(${t.poNumber}, '') || E'\\n' || coalesce(${t.storeId}, '') || E'\\n' || coalesce(${t.notes}, '')) "Finances".gin_trgm_ops`,
    ),
  ],
);

export const clientPoLineItem = finances.table(
  "client_po_line_item",
  {
    id: id(),
    clientPoId: bigId().notNull(),
    itemName: text().notNull(),
    quantity: quantity(),
    unitPrice: unitPrice(),
    totalPrice: money().notNull(),
    hsnCode: varchar(),
    unit: varchar(),
    rate: unitPrice().generatedAlwaysAs((): SQL => sql`unit_price`),
    gstAmount: money().notNull(),
    grossAmount: money().generatedAlwaysAs((): SQL => sql`total_price + gst_amount`),
    /** Percent. Null only on an imported line whose GST follows no clean rate. */
    gstRate: numeric({ precision: 5, scale: 2 }),
    version: version(),
    createdAt: createdAt(),
    updatedAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("client_po_line_item_po_fkey", t.clientPoId, clientPo.id, "cascade"),
    filled("client_po_line_item", t.itemName),
    check("client_po_line_item_quantity_positive", sql`${t.quantity} > 0 AND ${t.quantity} < 'NaN'`),
    ...notNegative("client_po_line_item", t.unitPrice, t.totalPrice, t.gstAmount),
    check("client_po_line_item_gst_rate_range", sql`${t.gstRate} BETWEEN 0 AND 100`),
    index("client_po_line_item_po_index").on(t.clientPoId, t.id),
    index("client_po_line_item_hsn_code_index").on(t.hsnCode),
  ],
);

export const clientPayment = finances.table(
  "client_payment",
  {
    id: id(),
    clientId: bigId().notNull(),
    clientPoId: bigId(),
    amount: money(),
    paymentDate: day(),
    status: varchar({ length: 50 }).default("PENDING"),
    createdAt: createdAt(),
    paymentMode: varchar({ length: 50 }).default("neft"),
    paymentStage: varchar({ length: 50 }).default("other"),
    notes: text(),
    isTdsDeducted: boolean().default(false),
    tdsAmount: money().default("0"),
    receivedByAccount: varchar({ length: 100 }),
    transactionType: varchar({ length: 20 }).default("credit"),
    referenceNumber: varchar({ length: 100 }),
    legacy: legacy(),
  },
  (t) => [
    references("client_payment_client_fkey", t.clientId, client.id),
    references("client_payment_po_fkey", t.clientPoId, clientPo.id),
    ...finite("client_payment", t.amount, t.tdsAmount),
    index("client_payment_client_index").on(t.clientId),
    index("client_payment_po_index").on(t.clientPoId),
  ],
);

export const billingPo = finances.table(
  "billing_po",
  {
    id: id(),
    clientId: bigId().notNull(),
    poNumber: varchar({ length: 100 }).notNull(),
    amount: money(),
    status: varchar({ length: 50 }).default("PENDING"),
    createdAt: createdAt(),
    projectId: bigId(),
    clientPoId: bigId(),
    billedValue: money(),
    billedGst: money(),
    billedTotal: money(),
    billingNotes: text(),
    updatedAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("billing_po_client_fkey", t.clientId, client.id),
    references("billing_po_project_fkey", t.projectId, project.id, "restrict"),
    references("billing_po_po_fkey", t.clientPoId, clientPo.id, "restrict"),
    unique("billing_po_number_unique").on(t.poNumber),
    ...finite("billing_po", t.amount, t.billedValue, t.billedGst, t.billedTotal),
    index("billing_po_client_index").on(t.clientId),
    index("billing_po_project_index").on(t.projectId),
    index("billing_po_po_index").on(t.clientPoId),
  ],
);

export const billingPoLineItem = finances.table(
  "billing_po_line_item",
  {
    id: id(),
    billingPoId: bigId().notNull(),
    itemDescription: varchar({ length: 500 }),
    quantity: numeric({ precision: 10, scale: 2 }),
    unitPrice: money(),
    amount: money(),
    createdAt: createdAt(),
    description: text(),
    qty: quantity(),
    rate: unitPrice(),
    total: money(),
    legacy: legacy(),
  },
  (t) => [
    references("billing_po_line_item_billing_po_fkey", t.billingPoId, billingPo.id, "cascade"),
    ...finite("billing_po_line_item", t.quantity, t.unitPrice, t.amount, t.qty, t.rate, t.total),
    index("billing_po_line_item_billing_po_index").on(t.billingPoId),
  ],
);

export const poProjectMapping = finances.table(
  "po_project_mapping",
  {
    id: id(),
    clientPoId: bigId().notNull(),
    projectId: bigId().notNull(),
    createdAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("po_project_mapping_po_fkey", t.clientPoId, clientPo.id),
    references("po_project_mapping_project_fkey", t.projectId, project.id),
    unique("po_project_mapping_unique").on(t.clientPoId, t.projectId),
    index("po_project_mapping_project_index").on(t.projectId),
  ],
);

export const projectDocument = finances.table(
  "project_document",
  {
    id: id(),
    projectId: bigId().notNull(),
    documentName: varchar({ length: 255 }),
    documentPath: varchar({ length: 500 }),
    createdAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("project_document_project_fkey", t.projectId, project.id, "cascade"),
    index("project_document_project_index").on(t.projectId),
  ],
);

export const vendorOrder = finances.table(
  "vendor_order",
  {
    id: id(),
    vendorId: bigId().notNull(),
    poNumber: varchar({ length: 100 }).notNull(),
    poValue: money(),
    status: varchar({ length: 50 }).default("PENDING"),
    createdAt: createdAt(),
    projectId: bigId(),
    poDate: day(),
    dueDate: day(),
    description: text(),
    workStatus: varchar().default("pending"),
    paymentStatus: varchar().default("pending"),
    legacy: legacy(),
  },
  (t) => [
    references("vendor_order_vendor_fkey", t.vendorId, vendor.id),
    references("vendor_order_project_fkey", t.projectId, project.id),
    ...finite("vendor_order", t.poValue),
    index("vendor_order_vendor_index").on(t.vendorId),
    index("vendor_order_project_index").on(t.projectId),
  ],
);

export const vendorOrderLineItem = finances.table(
  "vendor_order_line_item",
  {
    id: id(),
    vendorOrderId: bigId().notNull(),
    itemDescription: varchar({ length: 500 }),
    quantity: numeric({ precision: 10, scale: 2 }),
    unitPrice: money(),
    amount: money(),
    createdAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("vendor_order_line_item_order_fkey", t.vendorOrderId, vendorOrder.id, "cascade"),
    ...finite("vendor_order_line_item", t.quantity, t.unitPrice, t.amount),
    index("vendor_order_line_item_order_index").on(t.vendorOrderId),
  ],
);

export const vendorPayment = finances.table(
  "vendor_payment",
  {
    id: id(),
    vendorId: bigId().notNull(),
    vendorOrderId: bigId(),
    amount: money(),
    paymentDate: day(),
    status: varchar({ length: 50 }).default("PENDING"),
    createdAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("vendor_payment_vendor_fkey", t.vendorId, vendor.id),
    references("vendor_payment_order_fkey", t.vendorOrderId, vendorOrder.id),
    ...finite("vendor_payment", t.amount),
    index("vendor_payment_vendor_index").on(t.vendorId),
    index("vendor_payment_order_index").on(t.vendorOrderId),
  ],
);

export const paymentVendorLink = finances.table(
  "payment_vendor_link",
  {
    id: id(),
    vendorPaymentId: bigId().notNull(),
    vendorOrderId: bigId().notNull(),
    amountAllocated: money(),
    createdAt: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("payment_vendor_link_payment_fkey", t.vendorPaymentId, vendorPayment.id, "cascade"),
    references("payment_vendor_link_order_fkey", t.vendorOrderId, vendorOrder.id, "cascade"),
    unique("payment_vendor_link_unique").on(t.vendorPaymentId, t.vendorOrderId),
    ...finite("payment_vendor_link", t.amountAllocated),
    index("payment_vendor_link_order_index").on(t.vendorOrderId),
  ],
);

export const uploadSession = finances.table(
  "upload_session",
  {
    id: varchar({ length: 36 }).primaryKey(),
    sessionId: varchar({ length: 255 }).notNull(),
    createdAt: createdAt(),
    expiresAt: instant().notNull(),
    metadata: jsonb().default({}),
    status: varchar({ length: 20 }).default("active"),
    lastActivity: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    unique("upload_session_session_id_unique").on(t.sessionId),
    index("upload_session_expires_at_index").on(t.expiresAt),
  ],
);

export const uploadFile = finances.table(
  "upload_file",
  {
    id: varchar({ length: 36 }).primaryKey(),
    sessionId: varchar({ length: 255 }).notNull(),
    poNumber: varchar({ length: 100 }),
    originalFilename: varchar({ length: 500 }).notNull(),
    storageFilename: varchar({ length: 500 }).notNull(),
    storagePath: text().notNull(),
    fileSize: bigint({ mode: "number" }).notNull(),
    compressedSize: bigint({ mode: "number" }),
    isCompressed: boolean().default(true),
    mimeType: varchar({ length: 100 }),
    originalMimeType: varchar({ length: 100 }),
    fileHash: varchar({ length: 64 }),
    compressedHash: varchar({ length: 64 }),
    uploadTimestamp: createdAt(),
    uploadedBy: varchar({ length: 100 }),
    metadata: jsonb().default({}),
    status: varchar({ length: 20 }).default("active"),
    legacy: legacy(),
  },
  (t) => [
    references("upload_file_session_fkey", t.sessionId, uploadSession.sessionId, "cascade"),
    index("upload_file_session_index").on(t.sessionId),
    index("upload_file_po_number_index").on(t.poNumber),
  ],
);

export const uploadStats = finances.table(
  "upload_stats",
  {
    id: varchar({ length: 36 }).primaryKey(),
    sessionId: varchar({ length: 255 }).notNull(),
    totalUploads: integer().default(0),
    totalDownloads: integer().default(0),
    totalSizeBytes: bigint({ mode: "number" }).default(0),
    lastActivity: createdAt(),
    legacy: legacy(),
  },
  (t) => [
    references("upload_stats_session_fkey", t.sessionId, uploadSession.sessionId, "cascade"),
    unique("upload_stats_session_id_unique").on(t.sessionId),
  ],
);

export const user = finances.table(
  "user",
  {
    id: integer().primaryKey().generatedByDefaultAsIdentity(),
    username: varchar({ length: 255 }).notNull(),
    email: varchar({ length: 255 }).notNull(),
    passwordHash: varchar({ length: 255 }).notNull(),
    createdAt: createdAt(),
    updatedAt: createdAt(),
    role: varchar().notNull().default("viewer"),
    disabled: boolean().notNull().default(false),
    /** Part of every access token: raising it ends them all at once. */
    tokenVersion: integer().notNull().default(1),
    passwordChangedAt: instant(),
    version: version(),
    legacy: legacy(),
  },
  (t) => [
    filled("user", t.username),
    oneOf("user", t.role, ["viewer", "editor", "admin"]),
    check("user_password_hash_bcrypt", sql`${t.passwordHash} ~ '^[$]2[aby][$][0-9]{2}[$][./A-Za-z0-9]{53}$'`),
    unique("user_username_unique").on(t.username),
    // Log-in takes a username exactly; a look-alike in another case is another account nobody means.
    uniqueIndex("user_username_case_unique").on(sql`lower(${t.username})`),
    uniqueIndex("user_email_unique").on(sql`lower(${t.email})`),
  ],
);

/** One signed-in device: its id is the `sid` of the access tokens, and its refresh token rotates in place. */
export const refreshSession = finances.table(
  "refresh_session",
  {
    id: uuid().primaryKey().defaultRandom(),
    userId: integer().notNull(),
    /** SHA-256 of the refresh token that is valid now. */
    tokenHash: bytea().notNull(),
    /** SHA-256 of the one before it: seen again, it was a lost answer or a theft. */
    previousTokenHash: bytea(),
    rotatedAt: createdAt(),
    createdAt: createdAt(),
    expiresAt: instant().notNull(),
    revokedAt: instant(),
    address: text(),
    userAgent: text(),
  },
  (t) => [
    references("refresh_session_user_fkey", t.userId, user.id, "cascade"),
    unique("refresh_session_token_hash_unique").on(t.tokenHash),
    unique("refresh_session_previous_token_hash_unique").on(t.previousTokenHash),
    check("refresh_session_token_hash_sha256", sql`length(${t.tokenHash}) = 32`),
    index("refresh_session_user_newest").on(t.userId, t.createdAt, t.id),
    index("refresh_session_user_open").on(t.userId, t.createdAt, t.id).where(sql`revoked_at IS NULL`),
    index("refresh_session_expires_at_index").on(t.expiresAt),
  ],
);

/**
 * Failed log-ins per account and source, as `log_in_name` and `log_in_source` make them of username and address; the
 * account's own row has the address ''.
 */
export const loginAttempt = finances.table(
  "login_attempt",
  {
    username: text().notNull(),
    address: text().notNull(),
    failures: integer().notNull().default(0),
    lastFailedAt: createdAt(),
    blockedUntil: instant(),
  },
  (t) => [
    primaryKey({ name: "login_attempt_pkey", columns: [t.username, t.address] }),
    index("login_attempt_last_failed_at_index").on(t.lastFailedAt),
  ],
);

/** Append-only, written by the triggers `<table>_audit_*` alone; a statement trigger holds the owner back too. */
export const auditLog = finances.table(
  "audit_log",
  {
    id: id(),
    occurredAt: createdAt(),
    /** The API's user; null when SQL or a tool wrote. */
    userId: integer(),
    /** What wrote when it was no API user: `import`, else null. */
    actor: text(),
    /** The database role that connected. */
    databaseRole: text().notNull(),
    requestId: text(),
    action: text().notNull(),
    tableName: text().notNull(),
    rowId: text().notNull(),
    clientPoId: bigId(),
    /** `{field: {before, after}}`, changed fields only, decimals as strings. */
    changes: jsonb().notNull(),
  },
  (t) => [
    oneOf("audit_log", t.action, ["insert", "update", "delete"]),
    index("audit_log_row_index").on(t.tableName, t.rowId, t.id),
    index("audit_log_po_index").on(t.clientPoId, t.id),
    index("audit_log_occurred_at_index").on(t.occurredAt),
    index("audit_log_user_index").on(t.userId, t.id),
    index("audit_log_deleted_po").on(t.occurredAt, t.id).where(sql`table_name = 'client_po' AND action = 'delete'`),
  ],
);

export const idempotencyKey = finances.table(
  "idempotency_key",
  {
    userId: integer().notNull(),
    key: text().notNull(),
    method: text().notNull(),
    path: text().notNull(),
    bodyHash: bytea().notNull(),
    /** The rows that the answer is made of, as JSON text; null while the first request is at work, and when it wrote nothing. */
    answer: text(),
    createdAt: createdAt(),
  },
  (t) => [
    primaryKey({ name: "idempotency_key_pkey", columns: [t.userId, t.key] }),
    references("idempotency_key_user_fkey", t.userId, user.id, "cascade"),
    index("idempotency_key_created_at_index").on(t.createdAt),
  ],
);

/** Imported rows whose parent is missing, kept whole when the import ran with `--orphans quarantine`. */
export const legacyOrphan = finances.table(
  "legacy_orphan",
  {
    id: id(),
    tableName: text().notNull(),
    rowId: text().notNull(),
    /** The foreign key the row would have broken. */
    constraintName: text().notNull(),
    /** The parent's key that does not exist; null where the file had none. */
    missingKey: text(),
    row: jsonb().notNull(),
    importedAt: createdAt(),
  },
  (t) => [unique("legacy_orphan_row_unique").on(t.tableName, t.rowId)],
);
