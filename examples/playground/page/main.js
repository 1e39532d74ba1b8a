// The page: what is pressed goes to the stage, and its pictures are shown.

import { load } from "./stage.js";
import { Ring, beliefs, describe } from "./ring.js";
import { paintMatrix, plotBytes, plotCurve, plotViews } from "./plots.js";
import { Story, caption, subject, text, write } from "./story.js";

const LATENCIES = [0.5, 1, 3, 5, 10, 20, 50, 100, 200];
const DATAGRAMS = [96, 128, 192, 256, 384, 512, 768, 1024, 1200, 1400];
// What passes in one frame at most, in real milliseconds: a page in the background need not catch up.
const LONGEST_FRAME = 100;

// How long a sentence is shown, in real milliseconds.
const SAID = 3_000;
const HINT = "A second click undoes it: what is dead or has left starts again, what is paused goes on.";

const at = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search);
const number = (name, usual, least, most) => Math.min(most, Math.max(least, Number.parseInt(wanted.get(name), 10) || usual));

const page = {
  count: number("nodes", 64, 4, 128),
  seed: number("seed", 1, 1, 2 ** 31),
  speed: 1,
  runs: true,
  // The number of the happening that is looked at; null for the latest.
  chosen: null,
  // The node under the pointer, and until when a sentence is shown in place of it.
  looked: -1,
  saidUntil: 0,
  owedMicros: 0,
};

const colours = new Map();
function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return colours.get(name);
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => colours.clear());

function begin(stage) {
  stage.reset(page.count, page.seed);
  page.chosen = null;
  page.times = new Map();
  page.ring = new Ring(at("ring"), page.count, (node) => click(stage, node), (node) => (page.looked = node));
  page.story?.list.replaceChildren();
  page.story = new Story(at("story"), (number) => (page.chosen = number));
  for (const slider of ["loss", "latency", "datagram"]) at(slider).dispatchEvent(new Event("input"));
}

function click(stage, node) {
  const act = Number(document.querySelector("[name=act]:checked").value);
  if (stage.act(act, node)) page.chosen = null;
  else say(`Node ${node + 1} does not run: a click starts it again, if a click kills.`);
}

function say(sentence) {
  write(at("about"), sentence);
  page.saidUntil = performance.now() + SAID;
}

function connect(stage) {
  const weather = () => stage.setWeather(LATENCIES[at("latency").value] * 1_000, at("loss").value * 10);
  const slider = (id, shown, apply) => at(id).addEventListener("input", () => {
    write(at(`${id}-shown`), shown(Number(at(id).value)));
    apply();
  });
  slider("loss", (value) => `${value} %`, weather);
  slider("latency", (value) => `${LATENCIES[value]} ms`, weather);
  slider("datagram", (value) => `${DATAGRAMS[value]} B`, () => stage.setDatagram(DATAGRAMS[at("datagram").value]));
  const press = (id, call) => at(id).addEventListener("click", () => [call(), (page.chosen = null)]);
  press("split", stage.split);
  press("heal", stage.heal);
  press("anew", () => begin(stage));
  at("play").addEventListener("click", () => {
    page.runs = !page.runs;
    at("play").setAttribute("aria-pressed", page.runs);
    write(at("play"), page.runs ? "Pause" : "Go on");
  });
  at("speeds").addEventListener("change", (event) => (page.speed = Number(event.target.value)));
  document.addEventListener("keydown", (event) => {
    const tool = document.querySelectorAll("[name=act]")[Number(event.key) - 1];
    if (tool && !event.ctrlKey && !event.metaKey && !event.altKey) tool.checked = true;
  });
}

function show(stage, real) {
  const picture = stage.draw();
  picture.happenings.forEach((happening) => {
    // What came with a datagram is known when that datagram is seen to arrive.
    happening.known = happening.known.map((after) => (after > happening.age - picture.delay ? null : after));
    // It keeps the time at which it was, to the last digit.
    happening.at = page.times.get(happening.number) ?? picture.now - happening.age;
    page.times.set(happening.number, happening.at);
  });
  const chosen = picture.happenings.find(({ number }) => number === page.chosen) ?? picture.happenings[0];
  const seen = beliefs(picture);
  const about = subject(chosen);
  const knows = (node) => chosen.known[node] !== null;
  page.ring.update(picture, seen, knows, about);
  page.ring.caption(...caption(chosen));
  page.ring.drawFlights(picture.now - picture.delay, picture.delay, real, colour);
  page.story.update(picture.happenings, chosen.number);
  write(at("clock"), `${picture.now.toFixed(page.speed < 1 ? 3 : 1)} s`);
  write(at("chosen"), text(chosen));
  plotCurve(at("curve"), chosen, colour);
  showPlots(picture);
  const looked = picture.nodes[page.looked];
  if (real > page.saidUntil) write(at("about"), looked ? `${describe(page.looked, looked, seen[page.looked])}.` : HINT);
}

function showPlots(picture) {
  plotViews(at("views"), picture.samples, page.count, colour);
  plotBytes(at("bytes"), picture.samples, colour);
  paintMatrix(at("matrix"), picture, colour);
  const sample = picture.samples.at(-1);
  if (!sample) return;
  const range = sample.least === sample.most ? sample.most : `${sample.least} to ${sample.most}`;
  write(at("views-now"), `${range} of ${sample.running} running`);
  write(at("bytes-now"), `${Math.round(sample.mean)} a node`);
}

async function run() {
  const stage = await load("playground.wasm");
  connect(stage);
  begin(stage);
  write(at("size"), `${page.count} nodes`);
  let before = performance.now();
  const frame = (real) => {
    const passed = Math.min(LONGEST_FRAME, Math.max(0, real - before));
    before = real;
    page.owedMicros += page.runs ? passed * 1_000 * page.speed : 0;
    stage.advance(Math.floor(page.owedMicros));
    page.owedMicros %= 1;
    show(stage, real);
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

run().catch((error) => {
  at("trouble").hidden = false;
  write(at("trouble"), `The page cannot run: ${error.message}`);
});
