import type { CallCredentials, Metadata, StatusObject } from '@grpc/grpc-js';
import type { AuthContext } from '@grpc/grpc-js/build/src/auth-context.js';
import type { Call as GrpcCall, InterceptingListener, MessageContext } from '@grpc/grpc-js/build/src/call-interface.js';
import type { Body } from '../../core/body.js';
import { Call } from '../../core/call.js';
import { callersContext } from '../../core/context.js';
import { CancelledError, type MeshError } from '../../core/errors.js';
import { type HeaderFields, headerValue } from '../../core/headers.js';
import type { Reply } from '../../core/reply.js';
import type { CallSettings, ChannelContext } from './channel.js';
import { ACCEPT_ENCODING, type Encoding, isEncoding } from './compression.js';
import { callMetadata } from './credentials.js';
import { choicesOf } from './mesh-metadata.js';
import { fieldsOfMetadata, type MetadataClass, metadataClass, metadataOf } from './metadata.js';
import { Receiver, type ReceiverOwner } from './receiver.js';
import { Sender, type SenderOwner } from './sender.js';
import { isGrpc, STATUS, statusObject, statusOf, statusOfError, statusWithout } from './status.js';

/** One gRPC call, between the generated client above (grpc-js's `Call`) and a service of the mesh below. */
export class MeshCall implements GrpcCall, SenderOwner, ReceiverOwner {
  #metadata!: Metadata;
  #Metadata!: MetadataClass;
  #listener!: InterceptingListener;
  #credentials: CallCredentials | undefined;
  #sender!: Sender;
  /** Where the listener is called: the events of a connection come in the context of whoever opened it. */
  readonly #context = callersContext();
  #receiver: Receiver | undefined;
  /** Undefined until there is a body to send. */
  #call: Call | undefined;
  #reply: Reply | undefined;
  /** The client asked for a message before there was a reply. */
  #wanted = false;
  /** The listener has its status, or is about to. */
  #ended = false;

  constructor(
    private readonly channel: ChannelContext,
    private readonly settings: CallSettings,
    private readonly number: number,
  ) {}

  // What the client calls.

  start(metadata: Metadata, listener: InterceptingListener): void {
    this.#metadata = metadata;
    this.#Metadata = metadataClass(metadata);
    this.#listener = listener;
    this.#sender = new Sender(this.#encoding(metadata), this, this.#context);
    this.settings.parent?.on('cancelled', this.#parentCancelled);
    queueMicrotask(() => this.#sender.turnOver());
  }

  sendMessageWithContext(context: MessageContext, message: Buffer): void {
    const limit = this.channel.maxSendBytes;
    if (limit !== -1 && message.length > limit) {
      const size = `${message.length} bytes, the limit is ${limit} (grpc.max_send_message_length)`;
      this.cancelWithStatus(STATUS.RESOURCE_EXHAUSTED, `a message to send has ${size}`);
    }
    this.#sender.send(context, message);
  }

  halfClose(): void {
    this.#sender.halfClose();
  }

  startRead(): void {
    if (this.#receiver === undefined) this.#wanted = true;
    else this.#receiver.want();
  }

  cancelWithStatus(code: number, details: string): void {
    if (this.#ended) return;
    const reached = this.#call === undefined ? 'no' : 'maybe';
    this.#finish(statusObject(code, details, new this.#Metadata()));
    this.#call?.cancel(new CancelledError(details, reached));
  }

  setCredentials(credentials: CallCredentials): void {
    this.#credentials = credentials;
  }

  getPeer(): string {
    return this.#call?.record.endpoint ?? this.channel.authority;
  }

  getCallNumber(): number {
    return this.number;
  }

  getAuthContext(): AuthContext | null {
    return null;
  }

  // What the sender finds.

  bodyReady(body: Body): void {
    if (this.#ended) return;
    const fields = fieldsOfMetadata(this.#metadata);
    if (this.#credentials === undefined) {
      this.#launch(fields, body);
      return;
    }
    callMetadata(this.#credentials, fields, this.settings, this.channel).then(
      () => this.#launch(fields, body),
      (error: { code: number; message: string }) => {
        body.cancel();
        this.#finish(statusObject(error.code, error.message, new this.#Metadata()));
      },
    );
  }

  packingFailed(error: Error): void {
    this.cancelWithStatus(STATUS.INTERNAL, `a message to send could not be compressed: ${error.message}`);
  }

  // What the receiver finds.

  message(bytes: Buffer): void {
    const { onReceiveMessage } = this.#listener;
    if (!this.#ended) this.#context.runInAsyncScope(onReceiveMessage, this.#listener, bytes);
  }

  ended(trailers: HeaderFields | undefined, complete: boolean): void {
    const reply = this.#reply as Reply;
    const status = statusOf(trailers, this.#Metadata) ?? this.#statusWithout(reply);
    if (status.code === STATUS.OK && !complete) {
      this.#finish(
        statusObject(STATUS.INTERNAL, 'the server ended the call in the middle of a message', status.metadata),
      );
    } else this.#finish(status);
  }

  broken(error: MeshError): void {
    this.#finish(statusOfError(error, this.#Metadata));
  }

  refused(code: number, details: string): void {
    this.cancelWithStatus(code, details);
  }

  #launch(fields: HeaderFields, body: Body): void {
    if (this.#ended) return;
    const { channel, settings } = this;
    const encoding = this.#encoding(this.#metadata);
    fields['content-type'] = 'application/grpc';
    fields['te'] = 'trailers';
    fields['user-agent'] = channel.userAgent;
    fields['grpc-accept-encoding'] = ACCEPT_ENCODING;
    if (encoding !== 'identity') fields['grpc-encoding'] = encoding;
    const options = this.#metadata.getOptions();
    const { policy, fallback } = choicesOf(channel.choices, options);
    const call = new Call({
      protocol: 'grpc',
      scheme: channel.scheme,
      authority: channel.authority,
      target: channel.target,
      method: 'POST',
      path: settings.path,
      headers: fields,
      body,
      timeoutMs:
        settings.deadline === Number.POSITIVE_INFINITY ? undefined : settings.deadline - channel.clock.wallTime(),
      waitForReady: options.waitForReady ?? false,
      idempotent: options.idempotentRequest ?? (channel.idempotent?.has(settings.path) === true ? true : undefined),
      policy,
      fallback,
    });
    if (settings.host !== undefined) call.host = settings.host;
    this.#call = call;
    channel.service(call).then(
      (reply) => this.#replied(reply),
      (error: MeshError) => this.#finish(statusOfError(error, this.#Metadata)),
    );
  }

  #replied(reply: Reply): void {
    if (this.#ended) {
      reply.body.cancel();
      return;
    }
    this.#reply = reply;
    const { headers, body } = reply;
    // Trailers-Only: the status is in the head, and there is nothing else.
    if (body.size === 0 && headers['grpc-status'] !== undefined) {
      this.#finish(statusOf(headers, this.#Metadata) as StatusObject);
      return;
    }
    const valid = reply.status === 200 && isGrpc(headerValue(headers, 'content-type'));
    if (!valid && body.size === 0) {
      this.#finish(this.#statusWithout(reply));
      return;
    }
    this.channel.peerAccepts(headerValue(headers, 'grpc-accept-encoding'));
    if (valid) this.#listener.onReceiveMetadata(metadataOf(this.#Metadata, headers));
    if (this.#ended) return;
    if (!valid) return this.#drain(reply);
    this.#receiver = new Receiver(this.channel.maxReceiveBytes, headerValue(headers, 'grpc-encoding'), this);
    this.#receiver.start(body, this.#wanted);
  }

  /** Not a gRPC reply: its body is passed over, its trailers may still hold a status (http-grpc-status-mapping.md). */
  #drain(reply: Reply): void {
    reply.body.pipe({
      write: () => true,
      end: (trailers) => this.ended(trailers, true),
      fail: () => this.#finish(this.#statusWithout(reply)),
    });
  }

  #statusWithout(reply: Reply): StatusObject {
    return statusWithout(reply.status, headerValue(reply.headers, 'content-type'), this.#Metadata);
  }

  /** The channel's encoding, unless this call names its own as C-core does, if the server is not known to refuse it. */
  #encoding(metadata: Metadata): Encoding {
    const [own] = metadata.get('grpc-internal-encoding-request');
    return this.channel.accepted(isEncoding(own) ? own : this.channel.encoding);
  }

  readonly #parentCancelled = (): void =>
    this.cancelWithStatus(STATUS.CANCELLED, 'the call that this one was made for was cancelled');

  #finish(status: StatusObject): void {
    if (this.#ended) return;
    this.#ended = true;
    this.settings.parent?.off('cancelled', this.#parentCancelled);
    this.#sender.stop();
    this.#receiver?.stop();
    // Not in the stack of what we were called from: a client without an 'error' listener throws here.
    this.#context.runInAsyncScope(process.nextTick, process, reportStatus, this.#listener, status);
  }
}

const reportStatus = (listener: InterceptingListener, status: StatusObject): void => listener.onReceiveStatus(status);
