"use strict";
// Sorting and filtering for readers who have scripts; the tables are complete without.
(() => {
  const text = (row, column) => row.cells[column].textContent.trim();
  const value = (words) => {
    const plain = words.replace(/[,%<>\s]/g, "");
    return plain !== "" && !Number.isNaN(Number(plain)) ? Number(plain) : null;
  };
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x !== null && y !== null) return x - y;
    if (x === null && y === null) return a.localeCompare(b, "en-GB", { numeric: true });
    return x === null ? 1 : -1;
  };
  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.hasAttribute("data-fixed")) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => compare(text(a, column), text(b, column)) * (down ? -1 : 1));
        table.tBodies[0].append(...rows);
      });
    });
  };
  const filterable = (table) => {
    const rows = [...table.tBodies[0].rows];
    const box = document.createElement("div");
    box.className = "controls";
    const label = document.createElement("label");
    const search = document.createElement("input");
    search.type = "search";
    search.setAttribute("aria-label", `Filter: ${table.caption.textContent}`);
    label.append("Filter ", search);
    const told = document.createElement("output");
    told.className = "muted";
    box.append(label);
    let only = null;
    if (table.dataset.only) {
      const choice = document.createElement("label");
      only = document.createElement("input");
      only.type = "checkbox";
      choice.append(only, ` ${table.dataset.only}`);
      box.append(choice);
    }
    box.append(told);
    const apply = () => {
      const wanted = search.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        const keep = (!wanted || row.textContent.toLowerCase().includes(wanted)) &&
          (!only || !only.checked || row.hasAttribute("data-hit"));
        row.hidden = !keep;
        shown += keep;
      }
      told.textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
    };
    search.addEventListener("input", apply);
    if (only) only.addEventListener("change", apply);
    table.closest(".scroller").before(box);
  };
  document.querySelectorAll("table[data-sort]").forEach(sortable);
  document.querySelectorAll("table[data-filter]").forEach(filterable);
  // A browser paints no button in a heading that it repeats on the next sheet: print the words instead.
  addEventListener("beforeprint", () => {
    document.querySelectorAll("details:not(.screen)").forEach((part) => { part.open = true; });
    document.querySelectorAll("th > button").forEach((button) => {
      const words = document.createElement("span");
      words.textContent = button.textContent;
      button.hidden = true;
      button.before(words);
    });
  });
  addEventListener("afterprint", () => {
    document.querySelectorAll("th > button[hidden]").forEach((button) => {
      button.previousSibling.remove();
      button.hidden = false;
    });
  });
})();
