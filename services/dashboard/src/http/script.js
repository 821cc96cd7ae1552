// Keeps the live part of a page fresh. Without it a reload shows the same.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  const said = document.getElementById("said");

  // Puts the live part of other HTML in the place of this page's; focus and scrolling stay.
  const show = (html) => {
    const next = new DOMParser().parseFromString(html, "text/html").querySelector("[data-live]");
    if (!next) return;
    const focused = live.contains(document.activeElement) ? document.activeElement.id : "";
    const scrolled = [...live.querySelectorAll(".scroll")].map((one) => [one.id, one.scrollLeft]);
    const open = Boolean(live.querySelector("details[open]"));
    live.replaceChildren(...next.childNodes);
    for (const [id, left] of scrolled) {
      const one = document.getElementById(id);
      if (one) one.scrollLeft = left;
    }
    if (open) live.querySelectorAll("details").forEach((details) => { details.open = true; });
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    const status = live.querySelector("[data-said]");
    if (said && status && said.textContent !== status.dataset.said) {
      said.textContent = status.dataset.said;
    }
  };

  if (live && live.dataset.events) {
    const source = new EventSource(live.dataset.events);
    source.addEventListener("change", (event) => show(event.data));
    source.addEventListener("end", () => source.close());
  } else if (live && Number(live.dataset.live) > 0) {
    setInterval(async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(location.href, { headers: { "X-Refresh": "1" } });
        if (answer.ok && !answer.redirected) show(await answer.text());
      } catch {
        // The server is away: the page stays as it is and the next look finds it.
      }
    }, Number(live.dataset.live) * 1000);
  }

  // A form is sent once; the key in it makes a second one harmless all the same.
  for (const form of document.forms) {
    form.addEventListener("submit", () => {
      const button = form.querySelector("button[type=submit]");
      if (button && form.method === "post") setTimeout(() => { button.disabled = true; });
    });
  }
})();
