import { BackupError } from "../core/errors.ts";

/** Thrown where it is seen that something else than the store has answered. */
export class ForeignAnswer extends Error {
  override readonly name = "ForeignAnswer";
}

/**
 * Looks at the head of an answer for what no store says: a page for people, a way to another host. A
 * network that wants a login first (a captive portal) answers every request like that, with status
 * 200, and whoever takes it for the store's word believes that everything is stored.
 *
 * @param location the header, of a redirection; `ours` is the host that was asked
 * @throws ForeignAnswer
 */
export function assertStoreAnswers(
  status: number,
  headers: { get(name: string): string | null | undefined },
  ours: string,
): void {
  const type = headers.get("content-type") ?? "";
  const isPage = /^(text\/html|application\/xhtml)/i.test(type);
  if (isPage && status < 300) throw new ForeignAnswer(`a web page, with status ${status}`);
  if (status === 511) throw new ForeignAnswer("status 511: the network requires a login first");
  const location = status >= 300 && status < 400 ? headers.get("location") ?? "" : "";
  if (!URL.canParse(location, ours)) return;
  const { host } = new URL(location, ours);
  if (isPage || (host !== new URL(ours).host && !isKin(host, new URL(ours).host))) {
    throw new ForeignAnswer(`status ${status}, which leads to ${host}`);
  }
}

/** The hosts of one service: `bucket.s3.eu-west-1.amazonaws.com` and `s3.amazonaws.com`. */
function isKin(one: string, other: string): boolean {
  const domain = (host: string) => host.split(".").slice(-2).join(".");
  return domain(one) === domain(other) && /[a-z]/i.test(domain(one));
}

/** The error of a {@link ForeignAnswer}. @param doing the rest of "Cannot …" */
export function foreignAnswer(doing: string, { message }: Error): BackupError {
  return new BackupError(
    "storage/foreign-answer",
    `Cannot ${doing}: something else than the store answers (${message})`,
    {
      hint:
        "A network that requires a login first or a proxy answers in the store's place, or the " +
        "endpoint is wrong. Open the endpoint in a browser to see which.",
    },
  );
}
