import { systemCode } from "../core/errors.ts";

/** What became of a request that got no answer, in words; undefined for a code without any. */
export function networkWords(code: string | undefined): string | undefined {
  return code === undefined ? undefined : words[code];
}

/** The system's code of an error, or of what caused it. */
export function networkCode(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null) return undefined;
  return systemCode(error) ?? networkCode(Reflect.get(error, "cause"));
}

/** True where the name service says that there is no such host, which may be a typing error. */
export function isUnknownHost(code: string | undefined): boolean {
  return code === "ENOTFOUND";
}

const words: Readonly<Record<string, string>> = {
  ENOTFOUND: "the name of its host is unknown",
  EAI_AGAIN: "the name service does not answer",
  ECONNREFUSED: "the connection is refused",
  ConnectionRefused: "the connection is refused",
  ECONNRESET: "the connection was reset",
  ConnectionClosed: "the connection was closed",
  EPIPE: "the connection was closed",
  ETIMEDOUT: "the connection timed out",
  EHOSTUNREACH: "there is no way to its host",
  ENETUNREACH: "there is no way to its network",
};
