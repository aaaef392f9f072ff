import { send, type SignedRequest, toSdk } from "./http.ts";

/**
 * Middleware by which the answer to a command is read here instead of by the SDK, when it says that
 * all is well; whatever else it says stays the SDK's to read. To find out the place, to sign and to
 * make errors is the SDK's in any case.
 *
 * For a page of a thousand objects the SDK makes one text, a tree and a list, of which none is freed
 * before the next collection: 50 pages took 60 MB. For a small object it takes longer than all else.
 *
 * @param read reads the answer of status 200 or 206, whose body is still to come
 * @param o.onSigned told of the request that the SDK made
 * @param o.answer what was answered already, when the request was made without the SDK
 */
export function readDirectly<T>(
  read: (answer: Response) => Promise<T>,
  signal: AbortSignal,
  o: { onSigned?: (request: SignedRequest) => Promise<void>; answer?: Response } = {},
) {
  let told: { readonly answer: T } | undefined;
  let other: Response | undefined;
  let early = o.answer;

  /** For {@link sendAt}: sends the signed request, and ends here when it is answered well. */
  function sendRequest<A extends { readonly request: unknown }, R>(
    next: (args: A) => Promise<R>,
  ): (args: A) => Promise<R | Answered> {
    return async (args) => {
      if (!isSigned(args.request)) throw new TypeError("The SDK made no request");
      const answer = early ?? await send(args.request, signal);
      if (early === undefined) await o.onSigned?.(args.request);
      early = undefined;
      if (!isWell(answer)) {
        other = answer;
        return await next(args);
      }
      told = { answer: await read(answer) };
      return { response: answer, output: { $metadata: { httpStatusCode: answer.status } } };
    };
  }

  /** For {@link handOverAt}: gives the SDK the answer that is there, instead of sending again. */
  function handOver<A, R>(
    next: (args: A) => Promise<R>,
  ): (args: A) => Promise<R | { response: unknown }> {
    return async (args) => {
      const answer = other;
      other = undefined;
      return answer === undefined ? await next(args) : { response: toSdk(answer) };
    };
  }

  return {
    sendRequest,
    handOver,
    /** What was read, once the command was sent. */
    answer(): T {
      if (told === undefined) throw new TypeError("The SDK sent nothing");
      return told.answer;
    },
  };
}

/** True for an answer that has what was asked for. */
export function isWell({ status }: Response): boolean {
  return status === 200 || status === 206;
}

/** Last of what is done to a request: after it was signed. */
export const sendAt = { name: "sendRequest", step: "finalizeRequest", priority: "low" } as const;

/** Where the SDK would send. */
export const handOverAt = { name: "handOver", step: "deserialize", priority: "low" } as const;

interface Answered {
  readonly response: Response;
  readonly output: { readonly $metadata: { readonly httpStatusCode: number } };
}

function isSigned(request: unknown): request is SignedRequest {
  return typeof request === "object" && request !== null &&
    "method" in request && "hostname" in request && "headers" in request;
}
