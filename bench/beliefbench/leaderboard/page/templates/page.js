(() => {
  "use strict";
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const list = document.querySelector(".tabs");
  const tabs = list ? all("a", list) : [];
  const panels = tabs.map((tab) => document.getElementById(tab.hash.slice(1)));
  const agents = all(".agent");
  const said = document.getElementById("said");

  function select(panel) {
    tabs.forEach((tab, place) => {
      const chosen = panels[place] === panel;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      panels[place].classList.toggle("shown", chosen);
    });
  }

  function route(moved) {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const agent = target && target.closest(".agent");
    const panel = target && target.closest(".panel");
    root.classList.toggle("one-agent", Boolean(agent));
    agents.forEach((one) => one.classList.toggle("shown", one === agent));
    if (panel) select(panel);
    document.title = (agent ? agent.querySelector("h2").textContent + " · " : "") + "beliefbench leaderboard";
    if (!moved) return;
    if (agent) {
      scrollTo(0, 0);
      agent.querySelector("h2").focus();
    } else if (panel) {
      list.scrollIntoView();
      tabs[panels.indexOf(panel)].focus({ preventScroll: true });
    }
  }

  if (list) {
    list.setAttribute("role", "tablist");
    list.setAttribute("aria-label", "Domains");
    all("li", list).forEach((item) => item.setAttribute("role", "presentation"));
    tabs.forEach((tab, place) => {
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", panels[place].id);
      panels[place].setAttribute("role", "tabpanel");
      panels[place].setAttribute("aria-labelledby", tab.id);
      tab.addEventListener("click", (event) => {
        event.preventDefault();
        history.replaceState(null, "", tab.hash);
        select(panels[place]);
      });
    });
    list.addEventListener("keydown", (event) => {
      const here = tabs.indexOf(document.activeElement);
      const moves = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: tabs.length - 1 };
      if (here < 0 || !(event.key in moves)) return;
      event.preventDefault();
      const next = tabs[(moves[event.key] + tabs.length) % tabs.length];
      next.click();
      next.focus();
    });
    select(panels[0]);
    addEventListener("hashchange", () => route(true));
    route(false);
  }

  function key(cell) {
    if (cell.dataset.order !== undefined) return Number(cell.dataset.order);
    return cell.tagName === "TH" ? cell.textContent.trim().toLowerCase() : null;
  }

  all("table.sortable").forEach((table) => {
    const heads = all("thead tr:last-child th", table);
    const bodies = [...table.tBodies].filter((body) => !body.classList.contains("divider"));
    heads.forEach((head, column) => {
      const button = head.querySelector("button");
      button.addEventListener("click", () => {
        const first = button.dataset.first || "descending";
        const other = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? other : first;
        heads.forEach((one) => one.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const sign = order === "ascending" ? 1 : -1;
        bodies.forEach((body) => {
          const rows = all("tr", body).map((row) => [key(row.cells[column]), row]);
          // What has no value stays below, whichever way the rest is sorted.
          rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * (a < b ? -1 : a > b ? 1 : 0)));
          body.append(...rows.map(([, row]) => row));
        });
        said.textContent = "Sorted by " + button.textContent + ", " + order;
      });
    });
  });

  // A shade on the right says that a table goes on there.
  const shade = (box) => box.classList.toggle("goes-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  const resized = new ResizeObserver((changes) => changes.forEach(({ target }) => shade(target.closest(".scroll"))));
  all(".scroll").forEach((box) => {
    box.addEventListener("scroll", () => shade(box), { passive: true });
    resized.observe(box);
    resized.observe(box.firstElementChild);
  });

  all(".toggle").forEach((button) => {
    button.addEventListener("click", () => {
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      button.textContent = open ? "Fewer columns" : "More columns";
      document.getElementById(button.getAttribute("aria-controls")).classList.toggle("all", open);
    });
  });
})();
