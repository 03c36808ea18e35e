// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the braces are what is tested
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the braces are what is tested
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { commandWords } from "./expand.ts";

const variables = { SUBNET: "10.244.2.0/24", EMPTY: "", DATA: "a b; rm -rf / $SUBNET", _x1: "y", "1": "one", "?": "q" };

describe("commandWords()", () => {
  // What Go's os.Expand makes of each word of strings.Fields.
  for (const [command, words] of [
    ["ip route add $SUBNET dev eth0", ["ip", "route", "add", "10.244.2.0/24", "dev", "eth0"]],
    ["  a\t b\n ", ["a", "b"]],
    ["${SUBNET}x $SUBNET.x x$SUBNET", ["10.244.2.0/24x", "10.244.2.0/24.x", "x10.244.2.0/24"]],
    ["a $EMPTY $NONE b", ["a", "", "", "b"]],
    ["$DATA", ["a b; rm -rf / $SUBNET"]],
    ["$_x1 $SUBNETx", ["y", ""]],
    ["$1x ${1} $? ${?} $$", ["onex", "one", "q", "q", ""]],
    ["a$ $= $/ 100$", ["a$", "$=", "$/", "100$"]],
    ["${} ${SUBNET a${", ["", "SUBNET", "a"]],
    ["'$SUBNET' \"a b\" `id` $(id) a|b >f", ["'10.244.2.0/24'", '"a', 'b"', "`id`", "$(id)", "a|b", ">f"]],
    ["$constructor $__proto__ $toString", ["", "", ""]],
    ["", []],
  ] as const)
    it(`makes ${JSON.stringify(words)} of ${JSON.stringify(command)}`, () => {
      assert.deepEqual(commandWords(command, variables), words);
    });

  it("never makes another number of words, whatever the values are", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (subnet, ip) => {
        const words = commandWords("ip route add $SUBNET via ${IP} dev", { SUBNET: subnet, IP: ip });
        assert.deepEqual(words, ["ip", "route", "add", subnet, "via", ip, "dev"]);
      }),
    );
  });
});
