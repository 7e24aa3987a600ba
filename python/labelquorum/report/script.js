"use strict";

for (const tools of document.querySelectorAll(".tools")) tools.hidden = false;

// Tables: sort by a click on a column's name, search, and download as CSV.

const collator = new Intl.Collator(undefined, { numeric: true });

// The value of a number, or the full name where it is cut.
function textOf(cell) {
  return cell.dataset.value ?? (cell.title || cell.textContent.trim());
}

function valueOf(row, column) {
  const text = textOf(row.cells[column]);
  const number = Number(text);
  return text !== "" && !Number.isNaN(number) ? number : text;
}

// Empty cells come last in both directions.
function compare(a, b, direction) {
  if (a === "" || b === "") return (a === "") - (b === "");
  if (typeof a === "number" && typeof b === "number") return direction * (a - b);
  return direction * collator.compare(String(a), String(b));
}

function sort(table, column) {
  const header = table.tHead.rows[0].cells[column];
  const direction = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  const keyed = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
  keyed.sort((a, b) => compare(a[0], b[0], direction));
  table.tBodies[0].append(...keyed.map((pair) => pair[1]));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const [column, header] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => sort(table, column));
  }
}

// Cards beyond the first ones are hidden until a search, a link or the button asks for them.
const cards = document.getElementById("cards");
const allCards = document.getElementById("all-cards");
let nFirst = Number(cards.dataset.first);
allCards.hidden = cards.children.length <= nFirst;

for (const input of document.querySelectorAll("[data-search]")) {
  const target = document.getElementById(input.dataset.search);
  const rows = [...(target === cards ? cards.children : target.tBodies[0].rows)];
  const noun = target === cards ? "categories" : "rows";
  // Of a card, not the names of other categories.
  const said = (row) => (target === cards ? [...row.querySelectorAll(":scope > :not(details, .near)")] : [row]);
  const texts = rows.map((row) => said(row).map((part) => part.textContent).join("\n").toLowerCase());
  const count = document.querySelector(`[data-count="${input.dataset.search}"]`);
  const search = () => {
    const query = input.value.trim().toLowerCase();
    const most = target === cards && !query ? nFirst : rows.length;
    let shown = 0;
    for (const [i, row] of rows.entries()) {
      row.hidden = shown >= most || !texts[i].includes(query);
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} ${noun}`;
    if (target === cards) allCards.hidden = shown < most || rows.length <= most;
  };
  input.addEventListener("input", search);
  search();
  if (target === cards) {
    const showAll = () => {
      nFirst = rows.length;
      search();
    };
    const follow = () => {
      const card = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (!card || card.parentElement !== cards) return;
      if (card.hidden) {
        input.value = "";
        showAll();
      }
      card.scrollIntoView();
    };
    allCards.addEventListener("click", showAll);
    window.addEventListener("hashchange", follow);
    follow();
  }
}

function field(cell) {
  let text = textOf(cell);
  // A spreadsheet would run a text that begins with one of these characters as a formula. Another
  // apostrophe in front of one lets `review.read_csv` restore the text.
  const isText = !cell.classList.contains("number");
  if (isText && /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20']/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

for (const button of document.querySelectorAll("[data-csv]")) {
  button.addEventListener("click", () => {
    const table = document.getElementById(button.dataset.csv);
    const names = [...table.tHead.rows[0].cells].map((cell) => cell.textContent.trim());
    // Some of the columns by other names ("new=old,..."), or all.
    const columns = button.dataset.columns?.split(",").map((pair) => {
      const [name, old] = pair.split("=");
      return [name, names.indexOf(old)];
    }) ?? names.map((name, place) => [name, place]);
    const lines = [columns.map(([name]) => name)];
    for (const row of table.tBodies[0].rows) {
      lines.push(columns.map(([, place]) => field(row.cells[place])));
    }
    if (button.dataset.emptyColumn) {
      for (const [i, line] of lines.entries()) line.push(i ? "" : button.dataset.emptyColumn);
    }
    const content = lines.map((line) => line.join(",") + "\r\n").join("");
    // The byte order mark tells spreadsheets that this is UTF-8.
    const blob = new Blob(["\ufeff", content], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = button.dataset.file;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  });
}

// The heat map: read a cell with the pointer or the arrow keys.

const cells = document.getElementById("cells");
if (cells) {
  const { names, agreement } = JSON.parse(document.getElementById("agreement-data").textContent);
  const n = names.length;
  const outline = document.getElementById("cell");
  const output = document.getElementById("cell-text");
  let row = 0, column = 0;
  const show = (newRow, newColumn) => {
    row = Math.min(n - 1, Math.max(0, newRow));
    column = Math.min(n - 1, Math.max(0, newColumn));
    const share = agreement[row][column];
    const pair = row === column ? `within ${names[row]}` : `${names[row]} and ${names[column]}`;
    output.textContent = `${pair}: ${share === null ? "no votes" : `${share}% together`}`;
    outline.style.cssText = `display: block; left: ${(column / n) * 100}%; top: ${(row / n) * 100}%; `
      + `width: ${100 / n}%; height: ${100 / n}%`;
  };
  cells.addEventListener("pointermove", (event) => {
    const box = cells.getBoundingClientRect();
    const index = (offset, size) => Math.floor((offset / size) * n);
    show(index(event.clientY - box.top, box.height), index(event.clientX - box.left, box.width));
  });
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  cells.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    show(row + step[0], column + step[1]);
  });
}

