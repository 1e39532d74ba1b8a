// The other side of `src/lib.rs`: numbers go in, and flat lists of numbers are read from the module's memory.

export const STATES = ["running", "paused", "killed", "left"];

const LISTS = { nodes: Uint32Array, views: Uint8Array, flights: Float32Array, samples: Float32Array, happenings: Float32Array };

export async function load(url) {
  const { instance } = await WebAssembly.instantiateStreaming(fetch(url), {});
  const module = instance.exports;
  const read = (Type, list) => new Type(module.memory.buffer, module.place(list), module.length(list));
  return {
    reset: module.reset,
    advance: module.advance,
    now: module.now,
    delay: module.delay,
    setWeather: module.set_weather,
    setDatagram: module.set_datagram,
    act: (act, node) => module.act(act, node) === 1,
    split: module.split,
    heal: module.heal,
    draw() {
      module.draw();
      const [nodes, views, flights, samples, happenings] = Object.values(LISTS).map(read);
      return {
        now: module.now(),
        delay: module.delay(),
        nodes: rows(nodes, 3).map(([state, side, live]) => ({ state: STATES[state], side, live })),
        views,
        flights: rows(flights, 5).map(([from, to, bytes, sent, arrived]) => ({ from, to, bytes, sent, arrived })),
        samples: rows(samples, 6).map(([running, least, median, most, mean, busiest]) => (
          { running, least, median, most, mean, busiest })),
        happenings: rows(happenings, 4 + nodes.length / 3).map(happening),
      };
    },
  };
}

function rows(list, width) {
  return Array.from({ length: list.length / width }, (_, row) => list.subarray(row * width, (row + 1) * width));
}

// `known` is by node: how long after the happening it learned of it, or null.
function happening([number, what, node, age, ...after]) {
  const known = after.map((seconds) => (seconds >= 0 ? seconds : null));
  return { number, what, node, age, known, owed: after.filter((seconds) => seconds > -2).length };
}
