import { randomBytes } from 'node:crypto';
import { PartsBody } from './parts.js';

/**
 * multipart/form-data as HTML writes it (HTML, "multipart/form-data encoding algorithm"; RFC 7578): names and file names with line
 * breaks and quotes percent-encoded, line breaks of plain values as CRLF.
 */
export function encodeFormData(form: FormData): { readonly body: PartsBody; readonly contentType: string } {
  const boundary = `----inmesh-${randomBytes(18).toString('base64url')}`;
  const parts: (Uint8Array | Blob)[] = [];
  for (const [name, value] of form as unknown as Iterable<[string, string | File]>) {
    const head = `--${boundary}\r\ncontent-disposition: form-data; name="${escapeName(crlf(name))}"`;
    if (typeof value === 'string') {
      parts.push(Buffer.from(`${head}\r\n\r\n${crlf(value)}\r\n`));
    } else {
      const type = value.type === '' ? 'application/octet-stream' : value.type;
      const file = value.name === undefined ? '' : `; filename="${escapeName(value.name)}"`;
      parts.push(Buffer.from(`${head}${file}\r\ncontent-type: ${type}\r\n\r\n`), value, Buffer.from('\r\n'));
    }
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return { body: new PartsBody(parts), contentType: `multipart/form-data; boundary=${boundary}` };
}

interface File extends Blob {
  readonly name?: string;
}

const crlf = (text: string): string => text.replace(/\r\n|\r|\n/g, '\r\n');
const escapeName = (text: string): string => text.replace(/\n/g, '%0A').replace(/\r/g, '%0D').replace(/"/g, '%22');
