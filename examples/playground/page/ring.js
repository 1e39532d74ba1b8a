// The circle: nodes as SVG, so that they can be clicked, focused and read out; datagrams on a canvas below them.

import { STATES } from "./stage.js";

const SIZE = 640;
const RADIUS = 264;
const APART = 24;
// How long a datagram stays to be seen after it has landed, in real milliseconds, and how many are drawn at most.
const FADE = 350;
const MOST = 600;
const ARCS = ["down", "suspect", "left", "alive"];

const svg = (name, attributes, parent) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
};

export class Ring {
  constructor(root, count, onClick, onLook) {
    this.canvas = root.querySelector("canvas");
    root.querySelector("svg")?.remove();
    const picture = svg("svg", { viewBox: `0 0 ${SIZE} ${SIZE}`, role: "group", "aria-label": "Nodes" }, root);
    this.big = svg("text", { x: SIZE / 2, y: SIZE / 2 - 8, class: "caption" }, picture);
    this.small = svg("text", { x: SIZE / 2, y: SIZE / 2 + 14, class: "caption small" }, picture);
    this.flights = [];
    this.nodes = Array.from({ length: count }, (_, index) => this.#node(picture, index, count));
    const index = (event) => this.nodes.findIndex((node) => node.group.contains(event.target));
    picture.addEventListener("click", (event) => index(event) >= 0 && onClick(index(event)));
    for (const kind of ["pointerover", "focusin"]) picture.addEventListener(kind, (event) => onLook(index(event)));
    for (const kind of ["pointerleave", "focusout"]) picture.addEventListener(kind, () => onLook(-1));
    picture.addEventListener("keydown", (event) => this.#key(event, index(event), onClick));
    this.nodes[0].group.setAttribute("tabindex", 0);
  }

  #node(picture, index, count) {
    const angle = (2 * Math.PI * index) / count - Math.PI / 2;
    const group = svg("g", { role: "button", tabindex: -1, "data-node": index + 1 }, picture);
    const room = Math.min(10.5, (Math.PI * RADIUS) / count - 2.2);
    svg("circle", { r: room + 1.5, class: "back" }, group);
    svg("circle", { r: room - 2.5, class: "disc" }, group);
    const ring = { r: room, pathLength: 100, transform: "rotate(-90)", class: "arc" };
    svg("circle", { ...ring, class: "arc track" }, group);
    const arcs = ARCS.map((name) => svg("circle", { ...ring, style: `stroke: var(--${name})` }, group));
    svg("circle", { r: room + 5, class: "cause" }, group);
    svg("text", {}, group).textContent = index + 1;
    return { group, arcs, direction: [Math.cos(angle), Math.sin(angle)], shown: "" };
  }

  #key(event, index, onClick) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (index < 0) return;
    if (event.key === "Enter") onClick(index);
    if (step === undefined) return;
    const next = (index + step + this.nodes.length) % this.nodes.length;
    this.nodes[index].group.setAttribute("tabindex", -1);
    this.nodes[next].group.setAttribute("tabindex", 0);
    this.nodes[next].group.focus();
    event.preventDefault();
  }

  // `knows` says of a node whether it knows of the happening that is looked at, `about` which node that is about.
  update(picture, beliefs, knows, about) {
    this.nodes.forEach((node, index) => {
      const { state, side } = picture.nodes[index];
      const belief = beliefs[index];
      const shown = [state, side, knows(index), index === about, ...ARCS.map((name) => belief[name]), belief.of].join();
      if (shown === node.shown) return;
      node.shown = shown;
      const reach = RADIUS + side * APART;
      [node.x, node.y] = node.direction.map((part) => SIZE / 2 + part * reach);
      node.group.setAttribute("transform", `translate(${node.x} ${node.y})`);
      node.group.setAttribute("class", `${state}${knows(index) ? " knows" : ""}${index === about ? " about" : ""}`);
      node.group.setAttribute("aria-label", describe(index, picture.nodes[index], belief));
      let from = 0;
      ARCS.forEach((name, arc) => {
        const length = belief.of ? (100 * belief[name]) / belief.of : 0;
        node.arcs[arc].setAttribute("stroke-dasharray", `0 ${from} ${length} ${100 - from - length}`);
        node.arcs[arc].setAttribute("visibility", length ? "visible" : "hidden");
        from += length;
      });
    });
    const sent = (flight) => ({ ...flight, sent: picture.now - flight.sent,
      arrived: flight.arrived < 0 ? null : picture.now - flight.arrived });
    this.flights.push(...picture.flights.map(sent));
    this.flights.splice(0, Math.max(0, this.flights.length - MOST));
  }

  caption(big, small) {
    [this.big.textContent, this.small.textContent] = [big, small];
  }

  // The viewer's clock stays behind the simulator's, so that it is known of each datagram whether it arrives.
  drawFlights(now, delay, real, colour) {
    const { canvas } = this;
    const scale = fit(canvas) * (canvas.clientWidth / SIZE);
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, SIZE, SIZE);
    this.flights = this.flights.filter((flight) => flight.landed === undefined || real - flight.landed < FADE);
    for (const flight of this.flights) {
      if (flight.sent > now) continue;
      const end = flight.arrived ?? flight.sent + delay / 2;
      if (now >= end) flight.landed ??= real;
      const part = Math.min(1, (now - flight.sent) / Math.max(end - flight.sent, 1e-6));
      const fading = flight.landed === undefined ? 1 : 1 - (real - flight.landed) / FADE;
      drawFlight(context, this.nodes[flight.from], this.nodes[flight.to], flight, part, fading, colour);
    }
    context.globalAlpha = 1;
  }
}

function drawFlight(context, from, to, flight, part, fading, colour) {
  const lost = flight.arrived === null;
  const middle = SIZE / 2;
  const bend = (a, b) => middle + ((a + b) / 2 - middle) * 0.45;
  const [bx, by] = [bend(from.x, to.x), bend(from.y, to.y)];
  // A lost one is lost half-way. The first part of a quadratic curve is one again.
  const t = lost ? part / 2 : part;
  const at = (a, b, c) => (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t * t * c;
  const [x, y] = [at(from.x, bx, to.x), at(from.y, by, to.y)];
  context.strokeStyle = context.fillStyle = colour(lost ? "--down" : "--flight");
  context.globalAlpha = fading * (lost ? 0.45 : 0.3);
  context.lineWidth = Math.min(3, 0.7 + flight.bytes / 500);
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.quadraticCurveTo(from.x + (bx - from.x) * t, from.y + (by - from.y) * t, x, y);
  context.stroke();
  if (part < 1 || lost) {
    context.globalAlpha = fading * 0.9;
    context.beginPath();
    context.arc(x, y, Math.min(5, 2 + flight.bytes / 400), 0, 2 * Math.PI);
    context.fill();
  }
}

// Gives a canvas as many pixels as the screen has there.
export function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  return ratio;
}

// Of each node: how many of the others that run hold it to be what.
export function beliefs(picture) {
  const count = picture.nodes.length;
  const observers = [...picture.nodes.keys()].filter((index) => picture.nodes[index].state === STATES[0]);
  return picture.nodes.map((_, subject) => {
    const seen = [0, 0, 0, 0, 0];
    for (const observer of observers) if (observer !== subject) seen[picture.views[observer * count + subject]] += 1;
    const [unknown, alive, suspect, down, left] = seen;
    return { unknown, alive, suspect, down, left, of: unknown + alive + suspect + down + left };
  });
}

export function describe(index, node, belief) {
  const state = { running: "runs", paused: "is paused", killed: "is dead", left: "has left" }[node.state];
  const seen = ["alive", "suspect", "down", "left"].filter((name) => belief[name]);
  const held = seen.map((name) => `${belief[name] === 1 ? "1 holds" : `${belief[name]} hold`} it ${name}`);
  const sees = node.state === "running" ? `, holds ${node.live} alive` : "";
  return `Node ${index + 1} ${state}${sees}; of ${belief.of} others, ${held.join(", ") || "none knows it"}`;
}
