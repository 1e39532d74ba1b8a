// What happened, and who knows of it since when.

const TEXTS = {
  0: () => "all start",
  1: (node) => `node ${node} is killed`,
  2: (node) => `node ${node} starts again`,
  3: (node) => `node ${node} is paused`,
  4: (node) => `node ${node} goes on`,
  5: (node) => `node ${node} leaves`,
  6: (node) => `node ${node} broadcasts`,
  7: (node) => `node ${node} writes a key`,
  8: () => "the network is cut",
  9: () => "the network is whole",
};
// What knowing of it means.
const MEANING = {
  0: "see all that they can reach",
  1: "hold it down",
  2: "hold it alive again",
  3: "hold it down",
  4: "hold it alive",
  5: "know that it left",
  6: "have the message",
  7: "have the value",
  8: "see all that they can reach",
  9: "see all that they can reach",
};
// What is about the network is about no single node.
const OF_NETWORK = [0, 8, 9];

export const text = (happening) => TEXTS[happening.what](happening.node + 1);
export const subject = (happening) => (OF_NETWORK.includes(happening.what) ? -1 : happening.node);

export function seconds(span) {
  return span < 1 ? `${(span * 1_000).toFixed(span < 0.01 ? 1 : 0)} ms` : `${span.toFixed(2)} s`;
}

export function summary(happening) {
  const times = happening.known.filter((after) => after !== null);
  const all = times.length === happening.owed;
  return { count: times.length, owed: happening.owed, all, last: Math.max(...times) };
}

export function caption(happening) {
  const { count, owed, last } = summary(happening);
  const since = count ? `, the last after ${seconds(last)}` : "";
  return [text(happening), `${count} of ${owed} ${MEANING[happening.what]}${since}`];
}

export class Story {
  constructor(list, onChoose) {
    this.list = list;
    this.rows = new Map();
    this.onChoose = onChoose;
  }

  update(happenings, chosen) {
    const present = new Set(happenings.map((happening) => happening.number));
    for (const [number, row] of this.rows) {
      if (!present.has(number)) [row.parentElement.remove(), this.rows.delete(number)];
    }
    for (const happening of [...happenings].reverse()) this.#show(happening, happening.number === chosen);
  }

  #show(happening, isChosen) {
    let row = this.rows.get(happening.number);
    if (!row) {
      row = document.createElement("button");
      row.append(...["when", "what", "count"].map((name) => Object.assign(document.createElement("span"), { className: name })));
      row.addEventListener("click", () => this.onChoose(happening.number));
      const item = document.createElement("li");
      item.append(row);
      this.list.prepend(item);
      this.rows.set(happening.number, row);
    }
    const { count, owed, all, last } = summary(happening);
    const [when, what, known] = row.children;
    write(when, `${happening.at.toFixed(1)} s`);
    write(what, text(happening));
    write(known, all && count ? `all in ${seconds(last)}` : `${count} of ${owed}`);
    row.parentElement.className = all ? "all" : "";
    Object.assign(row.dataset, { number: happening.number, known: count, owed });
    row.setAttribute("aria-pressed", isChosen);
  }
}

export function write(element, content) {
  if (element.textContent !== content) element.textContent = content;
}
