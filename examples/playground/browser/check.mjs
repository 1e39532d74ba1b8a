// Presses the page's buttons in a real browser and reads what it shows: `node check.mjs URL [PICTURE]`.
// With a second argument it also saves a picture of the page there, light, and one beside it, dark.

import { chromium } from "playwright-core";

const [url, picture] = process.argv.slice(2);
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
// How long anything may take, in milliseconds.
const PATIENCE = 60_000;
const NODES = 64;
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

const complaints = [];
let passed = 0;

async function open(browser, colorScheme) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 880 }, colorScheme });
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  await page.goto(url);
  return page;
}

// Waits until all who are owed it know of the latest happening, which is this, and says how it reads.
async function allKnow(page, text, owed) {
  const latest = page.locator("#story li:first-child button");
  await latest.filter({ hasText: text }).waitFor();
  await page.locator(`#story li:first-child.all button[data-owed="${owed}"]`).waitFor();
  return (await latest.locator("span").allTextContents()).join("  ");
}

async function node(page, number, act) {
  await page.getByText(act, { exact: true }).click();
  await page.locator(`[data-node="${number}"]`).click();
}

async function seen(page, number, sentence) {
  await page.locator(`[data-node="${number}"][aria-label*="${sentence}"]`).waitFor();
}

const CLAIMS = {
  "all nodes see all": (page) => allKnow(page, "all start", NODES),
  "all others hold a killed node down": async (page) => {
    await node(page, 17, "kills it");
    const told = await allKnow(page, "node 17 is killed", NODES - 1);
    await seen(page, 17, `is dead; of ${NODES - 1} others, ${NODES - 1} hold it down`);
    return told;
  },
  "a second click starts it again, and all hold it alive": async (page) => {
    await node(page, 17, "kills it");
    const told = await allKnow(page, "node 17 starts again", NODES - 1);
    await seen(page, 17, `of ${NODES - 1} others, ${NODES - 1} hold it alive`);
    return told;
  },
  "a paused node is held down, and alive when it goes on": async (page) => {
    await node(page, 52, "pauses it");
    await allKnow(page, "node 52 is paused", NODES - 1);
    await node(page, 52, "pauses it");
    return allKnow(page, "node 52 goes on", NODES - 1);
  },
  "a node that leaves is known to have left": async (page) => {
    await node(page, 3, "has it leave");
    return allKnow(page, "node 3 leaves", NODES - 1);
  },
  "a key that is written can be read everywhere": async (page) => {
    await node(page, 9, "writes a key");
    return allKnow(page, "node 9 writes a key", NODES - 2);
  },
  "each half of a cut sees itself alone, and all see all when it is whole": async (page) => {
    await page.getByText("Cut in halves").click();
    await allKnow(page, "the network is cut", NODES - 1);
    await page.getByText("Make whole").click();
    return allKnow(page, "the network is whole", NODES - 1);
  },
  "the smallest datagrams and a fifth of them lost hold up no broadcast": async (page) => {
    await page.locator("#loss").fill("20");
    await page.locator("#datagram").fill("0");
    await node(page, 40, "broadcasts");
    return allKnow(page, "node 40 broadcasts", NODES - 2);
  },
};

async function takePicture(browser, scheme, file) {
  const page = await open(browser, scheme);
  await page.getByText("10×").click();
  await allKnow(page, "all start", NODES);
  for (const [button, text] of [["Cut in halves", "the network is cut"], ["Make whole", "the network is whole"]]) {
    await page.getByText(button).click();
    await allKnow(page, text, NODES);
  }
  await node(page, 17, "kills it");
  await allKnow(page, "node 17 is killed", NODES - 1);
  await node(page, 52, "pauses it");
  await allKnow(page, "node 52 is paused", NODES - 2);
  await node(page, 9, "writes a key");
  await allKnow(page, "node 9 writes a key", NODES - 3);
  await page.getByText("1/100", { exact: true }).click();
  await node(page, 40, "broadcasts");
  await page.waitForFunction(() => {
    const latest = document.querySelector("#story button");
    return latest.textContent.includes("node 40 broadcasts") && latest.dataset.known > 30;
  });
  await page.screenshot({ path: file });
  await page.close();
}

const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
try {
  const page = await open(browser, "light");
  for (const [claim, check] of Object.entries(CLAIMS)) {
    console.log(`ok    ${claim}: ${await check(page)}`);
    passed += 1;
  }
  await page.close();
  if (picture) {
    await takePicture(browser, "light", picture);
    await takePicture(browser, "dark", picture.replace(/\.png$/, "-dark.png"));
  }
} catch (error) {
  complaints.push(`${Object.keys(CLAIMS)[passed] ?? "the picture"}: ${error.message}`);
} finally {
  await browser.close();
}
for (const complaint of complaints) console.log(`FAILED  ${complaint}`);
console.log(`${passed} passed, ${complaints.length} failed`);
process.exitCode = complaints.length ? 1 : 0;
