/** What the tools use of an R2 binding, as wrangler hands it to Node. The Worker's own types are made for workerd. */

interface R2Object {
  key: string;
  size: number;
  etag: string;
  uploaded: Date;
}

interface R2ObjectBody extends R2Object {
  arrayBuffer(): Promise<ArrayBuffer>;
  json<T = unknown>(): Promise<T>;
}

interface R2Conditional {
  etagMatches?: string;
  etagDoesNotMatch?: string;
}

interface R2Bucket {
  head(key: string): Promise<R2Object | null>;
  get(key: string, options?: { range: { offset: number; length: number } }): Promise<R2ObjectBody | null>;
  put(key: string, value: string | Uint8Array, options?: { onlyIf?: R2Conditional }): Promise<R2Object | null>;
  delete(keys: string | string[]): Promise<void>;
  list(options: {
    prefix: string;
    cursor?: string;
  }): Promise<{ objects: R2Object[] } & ({ truncated: true; cursor: string } | { truncated: false })>;
}
