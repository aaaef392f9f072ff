/** One privilege, as `connectionStatus` shows it. */
export interface Privilege {
  readonly resource: {
    readonly db?: string;
    readonly collection?: string;
    readonly cluster?: boolean;
    readonly anyResource?: boolean;
  };
  readonly actions: readonly string[];
}

/** What an action works on: the cluster, or a collection ("" for any but system collections). */
export type Resource = "cluster" | { readonly db: string; readonly collection: string };

/**
 * Whether these privileges allow an action. In a privilege, an empty name stands for any, but any
 * collection does not include `system.` ones, and any collection of any database not those of the
 * server's own databases (https://www.mongodb.com/docs/manual/reference/resource-document/).
 *
 * @param privileges undefined on a server without access control
 */
export function may(
  privileges: readonly Privilege[] | undefined,
  action: string,
  resource: Resource,
): boolean {
  if (privileges === undefined) return true;
  return privileges.some((privilege) =>
    privilege.actions.includes(action) && covers(privilege.resource, resource)
  );
}

function covers(granted: Privilege["resource"], wanted: Resource): boolean {
  if (granted.anyResource === true) return true;
  if (wanted === "cluster") return granted.cluster === true;
  if (granted.db === undefined || granted.collection === undefined) return false;
  const isSystem = wanted.collection.startsWith("system.");
  if (granted.collection === "" && granted.db === "") {
    return !isSystem && wanted.db !== "config" && wanted.db !== "local";
  }
  const isCollection = granted.collection === wanted.collection ||
    (granted.collection === "" && !isSystem);
  return isCollection && (granted.db === wanted.db || granted.db === "");
}
