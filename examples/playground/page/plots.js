// Small plots of lines on canvases: one axis, few marks.

import { fit } from "./ring.js";

const MARGIN = { left: 34, right: 8, top: 8, bottom: 18 };

// `counts` says that there are no halves. `lines`: { points: [[x, y], ..], colour, dash, width, steps }; `band`: { low, high: [[x, y], ..], colour }.
export function plot(canvas, { x, y, counts, xLabels, lines, band, colour }) {
  const ratio = fit(canvas);
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "11px system-ui, 'DejaVu Sans', sans-serif";
  const across = (value) => MARGIN.left + ((value - x[0]) / (x[1] - x[0])) * (width - MARGIN.left - MARGIN.right);
  const up = (value) => height - MARGIN.bottom - ((value - y[0]) / (y[1] - y[0])) * (height - MARGIN.top - MARGIN.bottom);
  context.lineWidth = 1;
  context.textBaseline = "middle";
  for (const value of [y[0], (y[0] + y[1]) / 2, y[1]]) {
    context.strokeStyle = colour("--line");
    stroke(context, [[MARGIN.left, up(value)], [width - MARGIN.right, up(value)]]);
    context.fillStyle = colour("--quiet");
    context.textAlign = "right";
    if (!(counts && value % 1)) context.fillText(short(value), MARGIN.left - 6, up(value));
  }
  xLabels.forEach(([value, text], index) => {
    context.textAlign = index === 0 ? "left" : index === xLabels.length - 1 ? "right" : "center";
    context.fillText(text, across(value), height - 6);
  });
  const place = ([a, b]) => [across(a), up(Math.min(b, y[1]))];
  if (band) {
    context.fillStyle = band.colour;
    path(context, [...band.low.map(place), ...band.high.map(place).reverse()]);
    context.fill();
  }
  for (const line of lines) {
    context.strokeStyle = line.colour;
    context.lineWidth = line.width ?? 2;
    context.setLineDash(line.dash ?? []);
    const points = line.points.map(place);
    stroke(context, line.steps ? points.flatMap((point, at) => (at ? [[point[0], points[at - 1][1]], point] : [point])) : points);
  }
  context.setLineDash([]);
}

function path(context, points) {
  context.beginPath();
  points.forEach(([a, b], at) => (at ? context.lineTo(a, b) : context.moveTo(a, b)));
}

function stroke(context, points) {
  context.lineJoin = "round";
  path(context, points);
  context.stroke();
}

// A round number at or above this one, of which the half is round too.
export function roundUp(value) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 4, 6, 8, 10].find((times) => times * unit >= value * 0.9999) * unit;
}

function short(value) {
  return value >= 10_000 ? `${value / 1_000}k` : String(Number(value.toPrecision(3)));
}

const WINDOW = 60;
const AGO = [[-60, "60 s ago"], [-30, "30 s"], [0, "now"]];

// A sample is taken every half second; the last one is of now.
export function plotViews(canvas, samples, count, colour) {
  const of = (key) => samples.map((sample, at) => [(at + 1 - samples.length) / 2, sample[key]]);
  plot(canvas, {
    x: [-WINDOW, 0], y: [0, count], counts: true, xLabels: AGO, colour,
    band: { low: of("least"), high: of("most"), colour: colour("--alive-soft") },
    lines: [
      { points: of("median"), colour: colour("--alive") },
      { points: of("running"), colour: colour("--quiet"), dash: [4, 4], width: 1.5, steps: true },
    ],
  });
}

export function plotBytes(canvas, samples, colour) {
  const of = (key) => samples.map((sample, at) => [(at + 1 - samples.length) / 2, sample[key]]);
  const most = Math.max(100, ...samples.map((sample) => sample.busiest));
  plot(canvas, {
    x: [-WINDOW, 0], y: [0, roundUp(most)], xLabels: AGO, colour,
    lines: [
      { points: of("busiest"), colour: colour("--busy"), width: 1.5 },
      { points: of("mean"), colour: colour("--alive") },
    ],
  });
}

// How many know of something, by the time since it happened.
export function plotCurve(canvas, happening, colour) {
  const times = happening.known.filter((after) => after !== null).sort((a, b) => a - b);
  const end = roundUp(Math.max(times.at(-1) ?? 0, 0.001) * 1.05);
  const [scale, unit] = end < 1 ? [1_000, "ms"] : [1, "s"];
  const points = [[0, 0], ...times.map((after, at) => [after, at + 1]), [end, times.length]];
  plot(canvas, {
    x: [0, end], y: [0, Math.max(1, happening.owed)], counts: true, colour,
    xLabels: [[0, "0"], [end / 2, `${short((end / 2) * scale)} ${unit}`], [end, `${short(end * scale)} ${unit}`]],
    lines: [{ points, colour: colour("--knows"), steps: true }],
  });
}

// A pixel for each pair of nodes.
export function paintMatrix(canvas, picture, colour) {
  const count = picture.nodes.length;
  if (canvas.width !== count) canvas.width = canvas.height = count;
  const colours = ["--page", "--alive", "--suspect", "--down", "--left"].map((name) => rgb(colour(name)));
  const context = canvas.getContext("2d");
  const image = context.createImageData(count, count);
  picture.views.forEach((status, at) => image.data.set([...colours[status], 255], 4 * at));
  context.putImageData(image, 0, 0);
}

function rgb(hex) {
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}
