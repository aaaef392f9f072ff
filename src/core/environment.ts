/** Environment variables, as passed in by main: nothing else reads the process's own. */
export type Environment = Readonly<Record<string, string | undefined>>;
