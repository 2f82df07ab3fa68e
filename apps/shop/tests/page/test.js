// The coffee shop's page in headless Chromium: what a customer does and sees.
//
// Pictures of it are kept in target/page/. CHROMIUM and WASMGATE name other binaries than
// /usr/bin/chromium and target/debug/wasmgate.

import assert from "node:assert/strict";
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import { launch } from "puppeteer-core";

import { root, startGateway } from "./gateway.js";

const PATIENCE_MS = 30_000; // far above what a busy machine needs
const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

const pictures = join(root, "target/page");
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let gateway;
let profile;
let browser;
let page;
let complaints; // of the page: errors, refused loads, failed requests

before(async () => {
  await mkdir(pictures, { recursive: true });
  gateway = await startGateway();
  profile = await mkdtemp(join(tmpdir(), "shop-profile-"));
  browser = await launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    userDataDir: profile,
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});

after(async () => {
  await browser?.close();
  await gateway?.stop();
  if (profile) await rm(profile, { recursive: true, force: true });
});

beforeEach(async () => {
  page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.setViewport(DESKTOP);
});

afterEach(async () => {
  await page.close();
});

test("a latte and a muffin are ordered and become fulfilled", async () => {
  await open();
  await add(5);
  // The muffin by keyboard alone.
  await page.focus("#item-8");
  await page.keyboard.type("1");
  await page.keyboard.press("Tab");
  assert.equal(await text("#total"), "$7.50");
  assert.equal(await text("#count"), "2 items");
  await page.focus("#place");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".entry.own[data-status='2']");
  assert.equal(await text(".entry.own .items"), "Latte, Muffin");
  assert.equal(await text(".entry.own .status"), "Fulfilled");
  await newsOfTheEnd();
  assert.equal(await text("#count"), "Nothing chosen");
  await page.evaluate(() => scrollTo(0, 0));
  await settle();
  await page.screenshot({ path: join(pictures, "desktop.png") });
  assert.deepEqual(complaints, []);
});

test("another customer's board shows the order too, not as theirs", async () => {
  await open();
  await page.waitForSelector(".entry[data-status='2']");
  assert.equal(await page.$(".entry.own"), null);
});

test("an empty order is not placed, and the page says what to do", async () => {
  await open();
  const before = (await page.$$(".entry")).length;
  await page.click("#place");
  assert.equal(await text("#problem"), "Choose something first.");
  assert.equal(await page.evaluate(() => document.activeElement.id), "item-0");
  assert.equal((await page.$$(".entry")).length, before);
});

test("an order whose answer is lost is placed once when it is tried again", async () => {
  await open();
  const keys = [];
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (request.method() !== "POST") return request.continue();
    keys.push(request.headers()["idempotency-key"]);
    return keys.length === 1 ? request.abort("connectionreset") : request.continue();
  });
  await add(6);
  await page.click("#place");
  await page.waitForFunction(() => document.querySelector("#problem").textContent !== "");
  await page.click("#place");
  await page.waitForSelector(".entry.own[data-status='2']");
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
});

test("the page fits a phone", async () => {
  await page.setViewport(PHONE);
  await open();
  await page.waitForSelector(".entry");
  const { wide, small } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    // 44 CSS pixels, as WCAG 2.5.5 asks of what is touched.
    small: [...document.querySelectorAll("button, select")]
      .filter((element) => element.getBoundingClientRect().height < 44)
      .map((element) => element.outerHTML),
  }));
  assert.equal(wide, 0, "nothing to scroll sideways");
  assert.deepEqual(small, []);
  await add(5);
  await page.click("#place");
  await newsOfTheEnd();
  await add(8);
  await settle();
  await page.screenshot({ path: join(pictures, "phone.png") });
  await page.screenshot({ path: join(pictures, "phone-whole.png"), fullPage: true });
  assert.deepEqual(complaints, []);
});

for (const scheme of ["light", "dark"]) {
  test(`axe finds nothing against accessibility in ${scheme} colours`, async () => {
    await page.emulateMediaFeatures([
      { name: "prefers-color-scheme", value: scheme },
      { name: "prefers-reduced-motion", value: "reduce" },
    ]);
    await open();
    await page.waitForSelector(".entry[data-status='2']");
    await add(5);
    await page.screenshot({ path: join(pictures, `${scheme}.png`) });
    await page.evaluate(axe);
    const found = await page.evaluate(async () => {
      const { violations } = await window.axe.run();
      return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(" ")}`);
    });
    assert.deepEqual(found, []);
  });
}

async function open() {
  await page.goto(gateway.url);
  await page.waitForSelector(".card");
}

/** One more of an item, by mouse. */
async function add(itemType) {
  const button = await page.$(`#item-${itemType} ~ .more`);
  // Not below the checkout.
  await button.evaluate((element) => element.scrollIntoView({ block: "center" }));
  await button.click();
}

/** The board may show that an order is fulfilled a moment before the order's own events say so. */
async function newsOfTheEnd() {
  await page.waitForFunction(() => / is fulfilled\.$/.test(document.querySelector("#news").textContent));
}

/** Until nothing moves any more, so that pictures are of what stays. */
async function settle() {
  await page.evaluate(async () => {
    for (const image of document.images) image.loading = "eager";
    await Promise.all([...document.images].map((image) => image.decode()));
    await Promise.all(document.getAnimations().map((animation) => animation.finished));
  });
}

function text(selector) {
  return page.$eval(selector, (element) => element.textContent);
}
