import { hex } from "./dump.ts";
import { patiently } from "./store.ts";

/** R2 wants parts of one size, the last one aside, of at least 5 MiB. */
const partBytes = 8 * 1024 * 1024;

/**
 * Compresses what is written and stores it, of whatever length, in bounded memory: one part fills while another one is on
 * its way.
 */
export class GzipUpload {
  private readonly upload: R2MultipartUpload;
  private readonly gzip = new CompressionStream("gzip");
  private readonly input = this.gzip.writable.getWriter();
  private readonly digest = new crypto.DigestStream("SHA-256");
  private readonly sent: Promise<R2UploadedPart[]>;

  constructor(upload: R2MultipartUpload) {
    this.upload = upload;
    this.sent = this.sendParts();
    // Whoever writes hears of a failure at the next write, or at complete().
    this.sent.catch((error: unknown) => this.input.abort(error).catch(() => {}));
  }

  /** The bytes may be used again once it settles. */
  write(bytes: Uint8Array): Promise<void> {
    return this.input.write(bytes);
  }

  /** Makes the object appear; nothing of it is visible before. */
  async complete(): Promise<{ bytes: number; sha256: string }> {
    await this.input.close().catch(() => {});
    const object = await this.upload.complete(await this.sent);
    return { bytes: object.size, sha256: hex(await this.digest.digest) };
  }

  /** Gives the parts up that were sent so far. */
  async abort(reason: unknown): Promise<void> {
    await this.input.abort(reason).catch(() => {});
    await this.sent.catch(() => {});
    await this.upload.abort();
  }

  private async sendParts(): Promise<R2UploadedPart[]> {
    const hash = this.digest.getWriter();
    const parts: R2UploadedPart[] = [];
    let [filling, other] = [new Uint8Array(partBytes), new Uint8Array(partBytes)];
    let length = 0;
    let sending: Promise<unknown> = Promise.resolve();
    const send = async () => {
      await sending;
      const part = filling.subarray(0, length);
      const number = parts.length + 1;
      sending = patiently(() => this.upload.uploadPart(number, part)).then((uploaded) => parts.push(uploaded));
      // Awaited before the next part is sent, and at the end.
      sending.catch(() => {});
      await hash.write(part);
      [filling, other] = [other, filling];
      length = 0;
    };
    for await (const chunk of this.gzip.readable) {
      for (let taken = 0; taken < chunk.length; ) {
        const piece = chunk.subarray(taken, taken + partBytes - length);
        filling.set(piece, length);
        length += piece.length;
        taken += piece.length;
        if (length === partBytes) await send();
      }
    }
    if (length > 0) await send();
    await sending;
    await hash.close();
    return parts;
  }
}
