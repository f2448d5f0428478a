"use strict";
// A click on the heading of a sortable table sorts its rows, ascending first, then descending: texts
// alphabetically, figures by their value, cells without one last.
for (const button of document.querySelectorAll("table.sortable th button")) {
  button.addEventListener("click", () => {
    const heading = button.closest("th");
    const body = heading.closest("table").tBodies[0];
    const column = heading.cellIndex;
    const upwards = heading.ariaSort !== "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    heading.ariaSort = upwards ? "ascending" : "descending";
    const sign = upwards ? 1 : -1;
    const compare = (a, b) => {
      const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
      if (x !== undefined && y !== undefined) return sign * (x - y);
      if (x !== y) return x === undefined ? 1 : -1;
      const [p, q] = [a, b].map((row) => row.cells[column].textContent);
      return sign * p.localeCompare(q, undefined, { numeric: true });
    };
    body.append(...[...body.rows].sort(compare));
  });
}
