import { getLogger } from "@logtape/logtape";
import { adHocDestinations } from "./given.ts";
import { givenKeyring, keyAidOf } from "./encryption.ts";
import { errorText } from "./errors.ts";
import { type Host, isColourful } from "./host.ts";
import { type LogOptions, openLog } from "./log.ts";
import type { GivenByVariable } from "./variables.ts";
import { createProgressLine, noProgress, type ProgressLine } from "./progress.ts";
import type { CommonFlags } from "./flags.ts";
import type { Colour, Session } from "./session.ts";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { kindsOf } from "../config/build.ts";
import { defaultStateDir, loadConfig } from "../config/load.ts";
import { plainSecrets } from "../config/show.ts";
import { listed, shellQuote } from "../core/text.ts";
import type { Config, LogSettings } from "../config/model.ts";
import { thisMachine } from "../core/machine.ts";
import type { Secrets } from "../core/secret.ts";
import { sweepTempDirs } from "../core/temp.ts";
import { connectorKinds, storageKinds, withPlugins } from "../registry.ts";

const colourCodes: Readonly<Record<Colour, number>> = {
  red: 31,
  green: 32,
  yellow: 33,
  dim: 2,
  bold: 1,
};

/**
 * Opens the session of one command: sets the log up.
 *
 * @param o.byVariables the flags that do not stand on the command line
 * @param o.isReport true where what the command prints is all that it is for
 */
export async function openSession(
  flags: CommonFlags,
  secrets: Secrets,
  host: Host,
  { byVariables, isReport }: {
    readonly byVariables: readonly GivenByVariable[];
    readonly isReport: boolean;
  },
): Promise<Session> {
  // Who asks for a list wants it, however quietly.
  const isSilent = flags.quiet && !isReport;
  let loaded: Config | undefined;
  let loading: Promise<Config> | undefined;
  let progress: ProgressLine | undefined;
  const log = getLogger(["dbbackup"]);
  const writeLog = (line: string) => {
    progress?.clear();
    host.stderr.write(line);
  };
  // Where the log on standard error is JSON, every line there is.
  let isJsonLog = false;
  const setLog = async (written: LogSettings) => {
    const settings = withFlags(written, flags, host);
    isJsonLog = settings.format === "json" && settings.file === undefined;
    const isOutcomeShown = !isJsonLog && !flags.json &&
      (flags.quiet || host.stdout.isTerminal && host.stderr.isTerminal);
    const isOnlyErrors = flags.quiet && settings.file === undefined;
    await openLog({
      settings: isOnlyErrors ? { ...settings, level: "error" } : settings,
      secrets,
      write: writeLog,
      isOutcomeShown,
    });
  };
  await setLog({ format: "text" });

  // Whatever a killed one left is gone with the next command, whichever that is.
  await sweepTempDirs(host);

  async function load(): Promise<Config> {
    const moduleExports = async () => await import("../mod.ts");
    const { withDefaultSignals = async (use) => await use() } = host;
    loaded = await withDefaultSignals(() =>
      loadConfig({ ...host, named: flags.config, moduleExports })
    );
    // It may have caught what it was told: that it cannot end the process.
    host.signal.throwIfAborted();
    await setLog(loaded.log);
    await warnOfPlainSecrets(loaded, host, session);
    if (loaded.tempDir !== host.tempDir) await sweepTempDirs({ ...host, tempDir: loaded.tempDir });
    return loaded;
  }

  const isProgressShown = host.stderr.isTerminal && !flags.quiet;
  const session: Session = {
    host,
    flags,
    secrets,
    isTyped: (text) => !byVariables.some(({ value }) => value === text),
    config: () => loading ??= load(),
    loadedConfig: () => loaded,
    async namedConfig() {
      return flags.config === undefined ? undefined : await session.config();
    },
    async destinations(from) {
      if (from.length === 0) return [...(await session.config()).destinations.values()];
      return await adHocDestinations(from, session);
    },
    connectors: () =>
      withPlugins(connectorKinds, loaded === undefined ? [] : kindsOf(loaded).connectors),
    storages: () => withPlugins(storageKinds, loaded === undefined ? [] : kindsOf(loaded).storages),
    runtime: () => ({
      env: host.env,
      now: host.now,
      random: host.random,
      log,
      secrets,
      machine: () => thisMachine(host.env),
      tempDir: loaded?.tempDir ?? host.tempDir,
    }),
    job(label, keys) {
      progress?.clear();
      const line = isProgressShown ? createProgressLine(host.stderr, label) : noProgress;
      progress = line;
      return {
        runtime: session.runtime(),
        signal: host.signal,
        stateDir: loaded?.stateDir ?? defaultStateDir(host),
        ...(flags.config === undefined ? {} : { configFlags: ["--config", flags.config] }),
        keyring: givenKeyring(keys, session),
        keyAid: keyAidOf(session),
        onEvent(event) {
          if (event.type === "stage" || event.type === "progress") line.update(event);
        },
      };
    },
    print(text) {
      if (flags.json || isSilent) return;
      progress?.clear();
      host.stdout.write(secrets.redact(`${text}\n`));
    },
    warn(text) {
      log.warn("{text}", { text });
    },
    complain(error, o) {
      const { code, message, hint } = error;
      if (isJsonLog && o?.isLogged === true) return;
      if (isJsonLog) return log.error("{code}: {reason}", { code, reason: message, hint });
      progress?.clear();
      host.stderr.write(errorText(error, secrets, isColourful(host.stderr, host.env)));
    },
    paint(colour, text) {
      if (!isColourful(host.stdout, host.env)) return text;
      return `\x1b[${colourCodes[colour]}m${text}\x1b[0m`;
    },
    clearProgress: () => progress?.clear(),
  };
  return session;
}

/** A password that stands in a file is as secret as the file. */
async function warnOfPlainSecrets(config: Config, { uid }: Host, session: Session): Promise<void> {
  const { path } = config;
  if (path === undefined || uid === undefined) return;
  const plain = plainSecrets(config);
  if (plain.length === 0) return;
  const info = await stat(path).catch(() => undefined);
  if (info === undefined || !info.isFile() || (info.mode & 0o044) === 0) return;
  const mode = (info.mode & 0o777).toString(8).padStart(4, "0");
  session.warn(
    `The config "${path}" contains a password (${listed(plain)}) and can be read by other users ` +
      `(mode ${mode}). Run: chmod 600 ${
        shellQuote(path)
      }. Or keep it elsewhere, with env("NAME") ` +
      'or file("/run/secrets/name").',
  );
}

/** What the command line says about the log wins. */
function withFlags(
  settings: LogSettings,
  flags: CommonFlags,
  { cwd, stderr }: Host,
): LogOptions["settings"] {
  const format = flags.logFormat ?? settings.format;
  const isRead = stderr.isTerminal && format === "text" && flags.logFile === undefined &&
    settings.file === undefined;
  // To a person, progress and the result tell what a log at level info would say again.
  const level = flags.logLevel ?? settings.level ?? (isRead ? "warning" : "info");
  const common = { level, format };
  if (flags.logFile !== undefined) {
    const path = resolve(cwd, flags.logFile);
    return { ...common, file: { maxBytes: 10 * 1024 ** 2, keep: 5, ...settings.file, path } };
  }
  return settings.file === undefined ? common : { ...common, file: settings.file };
}
