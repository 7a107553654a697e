// Follows the pipeline: replaces the sections that changed, in place, so that focus, selection and what is unfolded stay.
"use strict";
(() => {
  const find = (id) => document.getElementById(id);
  const live = find("live");

  const morph = (old, fresh) => {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const same = child.id ? [...old.children].find((each) => each.id === child.id) : null;
      if (same && same !== next) {
        old.insertBefore(same, next);
        morph(same, child);
      } else if (next && (same || !next.id)) {
        const following = next.nextSibling;
        morph(next, child);
        next = following;
      } else {
        old.insertBefore(child, next);
      }
    }
    while (next) {
      const following = next.nextSibling;
      next.remove();
      next = following;
    }
  };

  const parsed = (html) => {
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content.firstElementChild;
  };

  const say = (text, state) => {
    if (live.textContent !== text) live.textContent = text;
    document.body.dataset.live = state;
  };

  const follow = () => {
    const seen = [...document.querySelectorAll("[data-digest]")].map((each) => `${each.id}:${each.dataset.digest}`);
    const source = new EventSource(`${document.body.dataset.events}&seen=${seen.join(",")}`);
    source.addEventListener("fragment", (event) => {
      const { id, html, after } = JSON.parse(event.data);
      const fresh = parsed(html);
      const old = find(id);
      if (!old) {
        const grid = document.querySelector(".grid");
        grid.insertBefore(fresh, after && after !== "badge" ? find(after).nextSibling : grid.firstChild);
        return;
      }
      if (fresh.dataset.announce && fresh.dataset.announce !== old.dataset.announce) {
        find("announcement").textContent = fresh.dataset.announce;
        document.title = document.title.replace(/^[^·]*·/, `${fresh.dataset.announce} ·`);
      }
      morph(old, fresh);
    });
    source.addEventListener("read", (event) => {
      const { at, ids } = JSON.parse(event.data);
      find("read-at").textContent = at;
      for (const each of document.querySelectorAll(".grid > section")) if (!ids.includes(each.id)) each.remove();
      say("Live", "on");
    });
    source.onerror = () => {
      say("Not live: the dashboard's server does not answer", "off");
      source.close();
      setTimeout(follow, 2000);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
  };

  say("Connecting", "wait");
  follow();
})();
