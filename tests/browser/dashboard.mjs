// Looks at a dashboard as people do: in a real browser, light and dark, on a desk and on a phone, by mouse and keyboard.
//
//   node dashboard.mjs < wanted.json     Prints one JSON object: { problems: [...], shots: [...], tree: "..." }
//
// wanted: { browser, out, surfaces: [{ name, url, token? }], texts: [...], names: [[role, name], ...], expandable: N }
import { readFileSync } from "node:fs";
import { join, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const wanted = JSON.parse(readFileSync(0, "utf8"));
const here = dirname(fileURLToPath(import.meta.url));
const axe = readFileSync(join(here, "node_modules/axe-core/axe.min.js"), "utf8");

const sizes = { desktop: { width: 1280, height: 900 }, phone: { width: 360, height: 740 } };
const problems = [];
const shots = [];
let tree = "";

// One place that somebody looks at, and everything that is amiss with it.
async function look(browser, surface, scheme, size) {
  const where = `${surface.name}, ${scheme}, ${size}`;
  const amiss = (what) => problems.push(`${where}: ${what}`);
  const context = await browser.newContext({
    colorScheme: scheme,
    viewport: sizes[size],
    reducedMotion: "reduce",
    hasTouch: size === "phone",
  });
  const page = await context.newPage();
  const own = new URL(surface.url);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && amiss(`console: ${message.text()}`));
  page.on("pageerror", (error) => amiss(`page error: ${error}`));
  page.on("request", (request) => {
    const to = new URL(request.url());
    if (to.protocol !== "data:" && (to.protocol !== own.protocol || to.host !== own.host)) amiss(`a request to ${to}`);
  });
  const answer = await page.goto(surface.url);
  if (answer && answer.status() !== 200 && own.protocol !== "file:") amiss(`status ${answer.status()}`);

  await fits(page, amiss, "as it is");
  for (const text of wanted.texts) {
    const found = page.getByText(text, { exact: false }).first();
    if (!(await found.isVisible().catch(() => false))) amiss(`\`${text}\` is not to be seen`);
  }
  for (const [role, name] of wanted.names) {
    if ((await page.getByRole(role, { name }).count()) === 0) amiss(`there is no ${role} named \`${name}\``);
  }
  await judged(page, amiss);
  const shot = join(wanted.out, `${surface.name}-${scheme}-${size}.png`);
  await page.screenshot({ path: shot, fullPage: true });
  shots.push(shot);

  await used(page, amiss, size);
  await fits(page, amiss, "with everything open");
  await judged(page, amiss);
  if (!tree) tree = await page.locator("body").ariaSnapshot();
  await context.close();
}

// Nothing is cut off at the side, and the page does not move sideways. Of what may be moved within it, errors are seen without.
async function fits(page, amiss, when) {
  const wide = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const inside = (one) => (one.closest(".scroll") !== null && one.closest(".why") === null) || one.closest("svg") !== null;
    const out = [...document.querySelectorAll("body *")].filter((one) => {
      const box = one.getBoundingClientRect();
      return box.width > 1 && box.right > width + 1 && !inside(one);
    });
    return { page: document.documentElement.scrollWidth, width, out: out.slice(0, 3).map((one) => one.outerHTML.slice(0, 120)) };
  });
  if (wide.page > wide.width || wide.out.length > 0) amiss(`${when} it is ${wide.page} wide of ${wide.width}: ${wide.out}`);
}

// Contrast, names, roles, order of headings: WCAG 2.2 AA by axe-core.
async function judged(page, amiss) {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  for (const violation of found.violations) {
    const node = violation.nodes[0];
    amiss(`${violation.id}: ${violation.help}: ${node.html.slice(0, 160)}: ${node.failureSummary}`);
  }
}

// Everything that can be opened is opened: every other one by the keyboard alone, the others by mouse or finger.
async function used(page, amiss, size) {
  const summaries = page.locator("summary");
  const count = await summaries.count();
  if (count < wanted.expandable) amiss(`${count} parts can be opened, expected ${wanted.expandable}`);
  const reached = await walked(page, amiss);
  if (reached < count) amiss(`the keyboard reaches ${reached} of ${count} parts that can be opened`);
  for (let at = 0; at < count; at += 1) {
    const summary = summaries.nth(at);
    const open = () => summary.evaluate((one) => one.parentElement.open);
    if (await open()) continue;
    if (at % 2 === 0) {
      await summary.focus();
      await page.keyboard.press("Enter");
    } else if (size === "phone") {
      await summary.tap();
    } else {
      await summary.click();
    }
    if (!(await open())) amiss(`${await summary.innerText()} does not open`);
  }
}

// Tab by tab through the page: what has the focus must show it. Returns how many summaries were met.
async function walked(page, amiss) {
  let met = 0;
  await page.evaluate(() => window.scrollTo(0, 0));
  for (let presses = 0; presses < 200; presses += 1) {
    await page.keyboard.press("Tab");
    const focus = await page.evaluate(() => {
      const one = document.activeElement;
      if (!one || one === document.body) return null;
      const style = getComputedStyle(one);
      const shown = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
      return { tag: one.tagName, shown, html: one.outerHTML.slice(0, 80) };
    });
    if (!focus) break;
    if (!focus.shown) amiss(`the focus on ${focus.html} cannot be seen`);
    if (focus.tag === "SUMMARY") met += 1;
  }
  return met;
}

const browser = await chromium.launch({
  executablePath: wanted.browser,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
for (const surface of wanted.surfaces) {
  for (const scheme of ["light", "dark"]) {
    for (const size of Object.keys(sizes)) await look(browser, surface, scheme, size);
  }
}
await browser.close();
console.log(JSON.stringify({ problems, shots, tree }));
