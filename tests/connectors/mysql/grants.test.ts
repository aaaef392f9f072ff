import assert from "node:assert/strict";
import { test } from "node:test";
import { parseGrants } from "../../../src/connectors/mysql/grants.ts";
import { compareVersions, versionOf } from "../../../src/connectors/mysql/server.ts";

test("grants hold for all databases, one, a pattern of names, or a table", () => {
  const grants = parseGrants([
    "GRANT PROCESS, SHOW DATABASES ON *.* TO `u`@`%`",
    "GRANT SELECT, SHOW VIEW ON `shop\\_%`.* TO `u`@`%`",
    "GRANT ALL PRIVILEGES ON `own`.* TO `u`@`%` WITH GRANT OPTION",
    "GRANT SELECT (`a`), INSERT ON `other`.`t` TO `u`@`%`",
    "GRANT EXECUTE ON PROCEDURE `other`.`p` TO `u`@`%`",
    "GRANT `role`@`%` TO `u`@`%`",
  ]);
  assert.ok(grants.has("SHOW DATABASES") && !grants.has("SELECT"));
  assert.ok(grants.has("SELECT", "shop_eu") && !grants.has("SELECT", "shopping"));
  assert.ok(grants.has("TRIGGER", "own") && !grants.has("TRIGGER", "shop_eu"));
  assert.ok(!grants.has("RELOAD", "own"), "ALL of a database holds nothing of the server");
  assert.ok(
    grants.hasOnTable("INSERT", "other", "t") && !grants.hasOnTable("SELECT", "other", "t"),
  );
  assert.ok(!grants.has("EXECUTE", "other"));
});

test("a partial revoke takes one database out of what holds for all", () => {
  const grants = parseGrants([
    "GRANT SELECT, SHOW_ROUTINE ON *.* TO `u`@`%`",
    "REVOKE SELECT ON `secret`.* FROM `u`@`%`",
  ]);
  assert.ok(grants.has("SELECT", "shop") && !grants.has("SELECT", "secret"));
});

test("versions are read and compared as numbers", () => {
  assert.equal(versionOf("5.5.5-10.11.19-MariaDB-0+deb12u1-log"), "10.11.19");
  assert.equal(versionOf("9.7.4-2"), "9.7.4");
  assert.ok(compareVersions("10.11.2", "10.6.20") > 0);
  assert.equal(compareVersions("8.0.41", "8.0.36", 2), 0);
  assert.ok(compareVersions("8.4", "9.0.1", 1) < 0);
});
