/**
 * What every field that a body may write refuses: JSON texts by kind, and the fields by object. A test holds the fields against
 * the contracts.
 */
/** JSON text that is never right, whatever the field. */
const never = ["{}", "[]", '[""]', '{"source":"1"}', "1e400", '"\\u0000"', '"\\ud800"', '"a\\udc00b"'];
const notText = [...never, "true", "0", "1", "12.5"];
const long = (length: number) => JSON.stringify("x".repeat(length));
/** A decimal of so many digits, as text and as numbers. */
const decimal = (digits: number, scale: number) => {
  const tooMany = [
    `1${"0".repeat(digits - scale)}`,
    `0.${"0".repeat(scale)}1`,
    "1.00000000000000000001",
    "0.30000000000000004",
  ];
  const noDecimals = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e5",
    "1E5",
    "0x10",
    "0b1",
    " 1",
    "1 ",
    "+1",
    "1,000",
    "1_000",
    "",
    " ",
    ".5",
    "5.",
  ];
  const foreign = ["१२", "１２", "1\u00a0000", "1\n", "--1", "-", "1.2.3", "∞", "9".repeat(51), "0".repeat(51)];
  const asText = [...tooMany, ...noDecimals, ...foreign].map((text) => JSON.stringify(text));
  return [
    ...never,
    "true",
    ...tooMany,
    "9007199254740993",
    "1e-7",
    "1e-400",
    "-1e400",
    "1e22",
    "9".repeat(400),
    ...asText,
  ];
};
const negative = ["-1", '"-1"', '"-0"', '"-0.00"', "-0.01", '"-0.01"'];
const reference = [
  ...never,
  "true",
  "0",
  "-0",
  "-1",
  "1.5",
  '"1"',
  "9007199254740992",
  "9007199254740993",
  "1e300",
  "1e-400",
];
const noDays = [
  "2026-02-30",
  "2025-02-29",
  "1900-02-29",
  "2026-13-01",
  "2026-00-01",
  "2026-01-00",
  "2026-04-31",
  "0000-01-01",
  "10000-01-01",
  "1899-12-31",
  "+2026-01-01",
];
const noDates = [
  "",
  "today",
  "2026-1-29",
  "29-01-2026",
  "20260129",
  "2026-01-29T00:00:00Z",
  " 2026-01-29",
  "२०२६-01-29",
  "infinity",
  "epoch",
];

export const kinds = {
  name: (most: number) => [
    ...notText,
    long(most + 1),
    '"a\\u0007"',
    '"\\u001fb"',
    '""',
    '" "',
    '"\\u00a0\\t\\r\\n\\u2003\\u2028\\ufeff"',
  ],
  text: (most: number) => [...notText, long(most + 1)],
  boolean: () => [...never, "0", "1", '"true"', '""'],
  choice: () => [...notText, '""', '"Active"', '" active"', '"PENDING"', '"toString"', '"__proto__"'],
  email: () => [
    ...notText,
    '""',
    '"a"',
    '"a@b"',
    '"a b@c.example"',
    '"a@b.example\\n"',
    `"${"a".repeat(250)}@b.example"`,
  ],
  gstin: () => [
    ...notText,
    '""',
    '"27"',
    '"27abcde1234f1z5"',
    '"27ABCDE1234F1Z"',
    '"27ABCDE1234F1Z55"',
    '" 27ABCDE1234F1Z5"',
    '"27ABCDE1234F1Z5\\n"',
    '"२७ABCDE1234F1Z5"',
  ],
  day: () => [...notText, ...[...noDays, ...noDates].map((day) => JSON.stringify(day))],
  id: () => reference,
  amount: () => decimal(15, 2),
  price: () => [...decimal(15, 4), ...negative],
  total: () => [...decimal(15, 2), ...negative],
  quantity: () => [...decimal(15, 3), ...negative, "0", "-0", '"0"', '"0.000"', '"-0.000"', "0e5"],
  percent: () => [...decimal(5, 2), ...negative, "100.01", '"100.01"', "101", '"999.99"'],
  lines: () => ["1", '"x"', "true", "{}", "null", "1e400"],
} as const;
type Kind = keyof typeof kinds;
/** The kind of every field, its length where it has one, and whether null clears it. */
export type Fields = Record<string, [kind: Kind, null: "null" | "never null", most?: number]>;

export const client: Fields = { name: ["name", "never null", 255], bundle_by_store: ["boolean", "never null"] };
export const vendor: Fields = {
  name: ["name", "never null", 255],
  contact_person: ["text", "null", 255],
  email: ["email", "null"],
  phone: ["text", "null", 50],
  address: ["text", "null", 2000],
  gstin: ["gstin", "null"],
  payment_terms: ["text", "null", 255],
  status: ["choice", "never null"],
};
export const line: Fields = {
  item_name: ["name", "never null", 1000],
  hsn_code: ["text", "null", 50],
  unit: ["text", "null", 50],
  quantity: ["quantity", "null"],
  unit_price: ["price", "null"],
  total_price: ["total", "never null"],
  gst_rate: ["percent", "null"],
};
export const poChanges: Fields = {
  client_id: ["id", "never null"],
  ...Object.fromEntries(["project_id", "parent_po_id", "vendor_id", "site_id"].map((field) => [field, ["id", "null"]])),
  ...Object.fromEntries(["po_date", "agreement_date", "pi_date"].map((field) => [field, ["day", "null"]])),
  ...Object.fromEntries(["vendor_gstin", "bill_to_gstin"].map((field) => [field, ["gstin", "null"]])),
  ...Object.fromEntries(
    ["vendor_address", "bill_to_address", "ship_to_address"].map((field) => [field, ["text", "null", 5000]]),
  ),
  ...Object.fromEntries(["po_value", "receivable_amount"].map((field) => [field, ["amount", "null"]])),
  store_id: ["text", "null", 100],
  po_number: ["name", "null", 255],
  po_type: ["choice", "never null"],
  pi_number: ["text", "null", 255],
  notes: ["text", "null", 10_000],
};
export const po: Fields = { ...poChanges, status: ["choice", "never null"], line_items: ["lines", "never null"] };
