/** An entry of a config that shows how a kind is used: a comment of what `config init` writes. */
export interface ConfigExample<O = unknown> {
  /** What it is called in the config: `offsite`. */
  readonly name: string;
  /** The options of its factory; secrets as references. */
  readonly options: O;
}
