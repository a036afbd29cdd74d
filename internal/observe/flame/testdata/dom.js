// As much of a browser's document as flame.js touches, filled from the drawing whose
// path is the first argument. The second is the script; what follows is its test.
"use strict";
const fs = require("fs"), assert = require("assert");
const text = fs.readFileSync(process.argv[2], "utf8");

function element(attributes, content) {
  const on = {}, classes = new Set();
  return {
    dataset: {}, style: {}, textContent: content || "",
    classList: { toggle: (c, yes) => yes ? classes.add(c) : classes.delete(c), contains: (c) => classes.has(c) },
    getAttribute: (k) => attributes[k], setAttribute: (k, v) => { attributes[k] = v; },
    addEventListener: (what, f) => { on[what] = f; }, fire: (what, e) => on[what](e),
  };
}
const groups = [...text.matchAll(/<g class="f" data-x="([^"]*)" data-w="([^"]*)" data-n="([^"]*)"><title>([^<]*)<\/title><rect x="[^"]*" y="([^"]*)"/g)].map((m) => {
  const g = element({}), parts = { rect: element({ y: m[5] }), text: element({}), title: element({}, m[4]) };
  g.dataset = { x: m[1], w: m[2], n: m[3] };
  g.querySelector = (what) => parts[what];
  return g;
});
const ids = { detail: element({}, "summary"), reset: element({}), matched: element({}), search: element({}) };
global.document = { documentElement: element({}), querySelectorAll: () => groups, getElementById: (id) => ids[id] };
let answer = "";
global.window = { prompt: () => answer };
new Function(fs.readFileSync(process.argv[3], "utf8"))();

const named = (name) => groups.find((g) => g.dataset.n === name);
const shown = () => groups.filter((g) => g.style.display !== "none").map((g) => g.dataset.n);
assert.equal(groups.length, 7);
named("b??").fire("click"); // 40 of 100
assert.deepEqual(shown(), ["all", "b??", "main", "schedule"]);
assert.ok(Math.abs(named("schedule").querySelector("rect").getAttribute("width") - 1180) < 0.1);
assert.ok(named("all").classList.contains("dim"));
assert.equal(ids.reset.getAttribute("visibility"), "visible");
ids.reset.fire("click");
assert.equal(shown().length, 7);
answer = "SCHED";
ids.search.fire("click");
assert.equal(ids.matched.textContent, "found in 40.0%");
answer = "main"; // in both, and what is above them does not count again
document.documentElement.fire("keydown", { ctrlKey: true, key: "f", preventDefault() {} });
assert.equal(ids.matched.textContent, "found in 100.0%");
document.documentElement.fire("keydown", { key: "Escape" });
assert.equal(ids.matched.textContent, "");
named("schedule").fire("mouseover");
assert.ok(ids.detail.textContent.includes("40.00%"));
