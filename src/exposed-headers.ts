/** The headers of answers that a page of another origin may read: for `Access-Control-Expose-Headers`. */
export const exposedHeaders = [
  "Allow",
  "Content-Disposition",
  "ETag",
  "Idempotent-Replayed",
  "Location",
  "RateLimit-Policy",
  "Retry-After",
  "Server-Timing",
  "WWW-Authenticate",
  "X-Request-Id",
];
